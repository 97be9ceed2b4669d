"""Interruption by Ctrl-C or by a batch system, without losing what is done."""

import signal
import sys
from types import FrameType, TracebackType
from typing import NoReturn, Self

from cardiouq.errors import STOP_SIGNALS

LEFT = "told to leave"
"""What the log of a training that left as it was told ends with, and how much is kept."""


class Notice:
    """A notice to leave: while entered, Ctrl-C and SIGTERM end nothing and set `given`."""

    def __init__(self) -> None:
        self.given = 0
        """The number of the signal that came."""

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._give) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def leave(self) -> NoReturn:
        """End the process with the status of one that the signal ended, which counts as failed."""
        sys.exit(128 + self.given)

    def _give(self, number: int, frame: FrameType | None) -> None:
        self.given = number
