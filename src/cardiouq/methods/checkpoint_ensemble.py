"""Checkpoint ensembles from cyclical training (Zhao et al., MICCAI 2022)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from cardiouq.methods.base import BaseMethod, Draw, Fitted, Sample, Schema, TrainedRun


@dataclass(frozen=True)
class Method(BaseMethod):
    """Checkpoints of the constant phase of the last `cycles` cycles of one run.

    With one cycle this is the paper's Ckpt. Ens. (Single), with all cycles (Multi); with one
    checkpoint of every cycle, snapshot ensembles (Huang et al., ICLR 2017).
    """

    schema: ClassVar[Schema] = {
        "cycles": {"type": "integer", "minimum": 1},
        "checkpoints": {"type": "integer", "minimum": 1},
        "step": {"type": "integer", "minimum": 1},
        "select": {"enum": ["latest", "best"]},
    }

    cycles: int = 1
    checkpoints: int = 30
    """Checkpoints of each cycle."""
    step: int = 2
    """Epochs between checkpoints; for (Multi) the paper leaves open whether 1 or 2."""
    select: Literal["latest", "best"] = "latest"
    """The latest checkpoints of a cycle's constant phase, or of every `step`-th one there those
    with the lowest validation loss."""

    def checkpoint_epochs(self, schedule: Any) -> list[int]:
        """The latest checkpoints of each of the last cycles, or all that `best` may choose from."""
        return [epoch for cycle in self._candidates(schedule) for epoch in cycle]

    def fits(self) -> bool:
        """Whether checkpoints are chosen by their validation loss."""
        return self.select == "best"

    def fit(self, runs: Sequence[TrainedRun], schedule: Any) -> Fitted:
        """The epochs that are used of each run."""
        return {
            str(run.member): [
                epoch
                for cycle in self._candidates(schedule)
                for epoch in sorted(sorted(cycle, key=run.validation_loss)[: self.checkpoints])
            ]
            if self.fits()
            else self.checkpoint_epochs(schedule)
            for run in runs
        }

    def draws(self, runs: Sequence[TrainedRun], schedule: Any, fitted: Fitted) -> Iterator[Draw]:
        """One network per checkpoint."""
        for run in runs:
            for epoch in fitted[str(run.member)]:
                yield Draw([Sample(run.member, epoch)], run.network(epoch))

    def _candidates(self, schedule: Any) -> list[list[int]]:
        """Epochs of each cycle."""
        if self.cycles > schedule.cycles:
            raise ValueError(
                f"{self.cycles} cycles are asked for, the recipe has {schedule.cycles}"
            )
        cycles = range(schedule.cycles - self.cycles, schedule.cycles)
        latest = [schedule.sampling_epochs(c, self.checkpoints, self.step) for c in cycles]
        if not self.fits():
            return latest
        start, end = schedule.constant_phase(0)
        count = len(range(start, end, self.step))
        return [schedule.sampling_epochs(c, count, self.step) for c in cycles]
