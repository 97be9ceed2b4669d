"""Checkpoint ensembles from cyclical training (Zhao et al., MICCAI 2022)."""

from dataclasses import dataclass
from typing import ClassVar

from cardiouq.methods.base import BaseMethod, Schema
from cardiouq.training.schedule import CyclicalSchedule


@dataclass(frozen=True)
class Method(BaseMethod):
    """Checkpoints of the constant phase of the last `cycles` cycles of one run.

    With one cycle this is the paper's Ckpt. Ens. (Single), with all cycles (Multi).
    """

    schema: ClassVar[Schema] = {
        "cycles": {"type": "integer", "minimum": 1},
        "checkpoints": {"type": "integer", "minimum": 1},
        "step": {"type": "integer", "minimum": 1},
    }

    cycles: int = 1
    checkpoints: int = 30
    """Checkpoints of each cycle."""
    step: int = 2
    """Epochs between checkpoints; for (Multi) the paper leaves open whether 1 or 2."""

    def checkpoint_epochs(self, schedule: CyclicalSchedule) -> list[int]:  # type: ignore[override]
        """The latest checkpoints of each of the last cycles."""
        if self.cycles > schedule.cycles:
            raise ValueError(
                f"{self.cycles} cycles are asked for, the recipe has {schedule.cycles}"
            )
        return [
            epoch
            for cycle in range(schedule.cycles - self.cycles, schedule.cycles)
            for epoch in schedule.sampling_epochs(cycle, self.checkpoints, self.step)
        ]
