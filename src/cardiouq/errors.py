"""Errors that are meant for the user: one clear message, no traceback."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import format_exc


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
    """End a script that failed: with the message alone if it is a `CardiouqError`, else with the
    traceback; on the terminal and in the rule's log file."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    Path(log).touch()
    try:
        yield
    except Exception as error:
        text = f"\nERROR: {error}\n" if isinstance(error, CardiouqError) else format_exc()
        with Path(log).open("a") as stream:
            stream.write(text)
        sys.exit(text)
