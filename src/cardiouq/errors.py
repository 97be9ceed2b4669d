"""Errors that are meant for the user: one clear message, no traceback."""

import errno
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import format_exc
from types import FrameType
from typing import NoReturn

DISK_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of disk space is used up",
    errno.EROFS: "the file system can only be read",
    errno.EACCES: "permission is denied",
    errno.EIO: "the disk or the way to it fails",
}
"""Numbers of an `OSError` that the user can mend, and the program cannot, and their meaning."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals of Ctrl-C, and of batch systems some time before they kill."""


STOPPED = "stopped as told"
"""What a log ends with, and what to do next, after a job that was asked to leave."""


class CardiouqError(Exception):
    """An error that the user can mend.

    The message names the file, what was found, what was expected and what to do.
    """


class ProblemsError(CardiouqError):
    """Every problem found by one check, so that the user mends them in one go."""

    def __init__(self, summary: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join([summary, *(f"  - {problem}" for problem in self.problems)]))


class Stopped(SystemExit):
    """End of a script as by a signal, with its status, but after tidying up."""


@contextmanager
def reported_to_user(log: str | os.PathLike[str]) -> Iterator[None]:
    """End a script that failed with its message, on the terminal and in the rule's log file.

    The message is alone if the error is a `CardiouqError` or the disk's fault; else the traceback
    stands in its place. A script that is asked to leave, by Ctrl-C or SIGTERM, removes what it has
    half written and says so in one sentence.
    """
    handlers = {number: signal.signal(number, _stop) for number in STOP_SIGNALS}
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        Path(log).touch()
        yield
    except Stopped:
        text = f"{STOPPED}; the same command goes on from what is finished\n"
        _append(log, text)
        sys.stderr.write(text)
        raise
    except Exception as error:
        message = user_message(error)
        text = f"\nERROR: {message}\n" if message else format_exc()
        _append(log, text)
        sys.exit(text)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def exit_on_ctrl_c() -> None:
    """Have Ctrl-C end this process, Snakemake's, without a traceback wherever it is.

    Snakemake then waits for its jobs, which a second Ctrl-C would only disturb: it is ignored. So
    is the first by a Snakemake that a script started in its background.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _stop)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    for stop_signal in STOP_SIGNALS:
        # a second one would disturb the tidying up; SIG_IGN would complain of one on its way
        signal.signal(stop_signal, lambda number, frame: None)
    raise Stopped(128 + number)


def _append(log: str | os.PathLike[str], text: str) -> None:
    # the disk may be what failed
    with suppress(OSError), Path(log).open("a", encoding="utf-8") as stream:
        stream.write(text)


def user_message(error: Exception) -> str:
    """Message for the user; empty for an error that only its traceback explains."""
    if isinstance(error, CardiouqError):
        return str(error)
    if isinstance(error, OSError) and error.filename and error.errno in DISK_ERRORS:
        return (
            f"{error.filename}: {DISK_ERRORS[error.errno]} ({error.strerror}); mend that and give "
            "the same command again: it goes on from what is finished"
        )
    return ""
