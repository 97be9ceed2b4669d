"""Stochastic weight averaging (Izmailov et al., UAI 2018)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cardiouq.methods.base import BaseMethod, Draw, Fitted, Sample, Schema, TrainedRun


@dataclass(frozen=True)
class Method(BaseMethod):
    """One network with the mean of the weights sampled in the last cycle.

    No pass to refresh batch norm follows: the network's instance norm keeps no statistics.
    """

    schema: ClassVar[Schema] = {
        "checkpoints": {"type": "integer", "minimum": 1},
        "step": {"type": "integer", "minimum": 1},
    }

    checkpoints: int = 30
    step: int = 2

    def checkpoint_epochs(self, schedule: Any) -> list[int]:
        """The latest checkpoints of the last cycle."""
        epochs: list[int] = schedule.sampling_epochs(
            schedule.cycles - 1, self.checkpoints, self.step
        )
        return epochs

    def draws(self, runs: Sequence[TrainedRun], schedule: Any, fitted: Fitted) -> Iterator[Draw]:
        """The averaged network, named by the last epoch that went into it."""
        epochs = self.checkpoint_epochs(schedule)
        for run in runs:
            yield Draw([Sample(run.member, epochs[-1])], run.mean_network(epochs))
