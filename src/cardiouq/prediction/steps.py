"""What the log of a prediction says of each step, for whoever writes or reads it."""

import re
from typing import NamedTuple, Self


class Step(NamedTuple):
    """One network has been applied to some of the volumes, those that there was memory for."""

    drawn: int
    """Samples of these volumes that are there by now."""
    samples: int
    """How many each volume will have."""
    first: int
    """Which volumes these are, counted from 1."""
    last: int
    volumes: int
    """How many there are in all."""
    seconds: float
    """Processor time of this step alone."""

    def __str__(self) -> str:
        return (
            f"{self.drawn} of {self.samples} sample(s) of volumes {self.first} to {self.last} of "
            f"{self.volumes}, {self.seconds:.0f} s of processor time"
        )

    @classmethod
    def all_in(cls, log: str) -> list[Self]:
        """Find the steps that the text of a log tells of, in their order."""
        counts = r"(\d+) of (\d+) sample\(s\) of volumes (\d+) to (\d+) of (\d+)"
        found = re.findall(rf": {counts}, (\d+) s of processor time", log)
        return [cls(*map(int, step)) for step in found]

    @property
    def share(self) -> float:
        """Share of the whole prediction that is done after this step."""
        before, these = self.first - 1, self.last - self.first + 1
        return (before + these * min(self.drawn / self.samples, 1)) / self.volumes
