"""Errors that are meant for the user: one clear message, no traceback."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class CardiouqError(Exception):
    """Something the user can mend; the message names the file, what was found, what was expected
    and what to do."""


class ProblemsError(CardiouqError):
    """Every problem found by one check, so that the user mends them in one go."""

    def __init__(self, summary: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join([summary, *(f"  - {problem}" for problem in self.problems)]))


@contextmanager
def reported_to_user() -> Iterator[None]:
    """End a script with the message alone when a `CardiouqError` was raised."""
    try:
        yield
    except CardiouqError as error:
        sys.exit(f"\nERROR: {error}\n")
