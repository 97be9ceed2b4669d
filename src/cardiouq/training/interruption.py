"""Leaving when asked to: batch systems send SIGTERM some time before they kill."""

import signal
from types import FrameType, TracebackType
from typing import Self

EXIT_CODE = 128 + signal.SIGTERM
"""What a shell reports of a process that SIGTERM ended; a batch system calls it a failure."""


class Notice:
    """While it is entered, SIGTERM ends nothing and sets `given`."""

    def __init__(self) -> None:
        self.given = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGTERM, self._give)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _give(self, number: int, frame: FrameType | None) -> None:
        self.given = True
