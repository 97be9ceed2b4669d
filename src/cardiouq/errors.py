"""Errors that are meant for the user: one clear message, no traceback."""

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import format_exc

OF_THE_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of disk space is used up",
    errno.EROFS: "the file system can only be read",
    errno.EACCES: "permission is denied",
    errno.EIO: "the disk or the way to it fails",
}
"""What an `OSError` tells that the user can mend, and the program cannot."""


class CardiouqError(Exception):
    """Something the user can mend; the message names the file, what was found, what was expected
    and what to do."""


class ProblemsError(CardiouqError):
    """Every problem found by one check, so that the user mends them in one go."""

    def __init__(self, summary: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join([summary, *(f"  - {problem}" for problem in self.problems)]))


@contextmanager
def reported_to_user(log: str | os.PathLike[str]) -> Iterator[None]:
    """End a script that failed: with the message alone if it is a `CardiouqError` or the disk's
    fault, else with the traceback; on the terminal and in the rule's log file."""
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        Path(log).touch()
        yield
    except Exception as error:
        message = in_words(error)
        text = f"\nERROR: {message}\n" if message else format_exc()
        # the disk may be what failed
        with suppress(OSError), Path(log).open("a", encoding="utf-8") as stream:
            stream.write(text)
        sys.exit(text)


def in_words(error: Exception) -> str:
    """What the user is told; nothing of an error that only its traceback explains."""
    if isinstance(error, CardiouqError):
        return str(error)
    if isinstance(error, OSError) and error.filename and error.errno in OF_THE_DISK:
        return (
            f"{error.filename}: {OF_THE_DISK[error.errno]} ({error.strerror}); mend that and give "
            "the same command again: it goes on from what is finished"
        )
    return ""
