"""The interface of a method: how a predictive distribution is drawn from the runs of a recipe.

A method is one file in this folder with a class `Method` derived from `BaseMethod`, a frozen
dataclass whose fields are its settings, and a JSON schema of those settings. Nothing here imports
torch: the DAG is built from methods without it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from cardiouq.training.schedule import Schedule

Schema = Mapping[str, Any]
"""JSON schema of each setting of a method."""


@dataclass(frozen=True)
class Sample:
    """Where one sample's weights come from: a run (by member) and a checkpoint (by epoch)."""

    member: int
    epoch: int


class TrainedRun(Protocol):
    """What a method asks of a run on disk; networks come in evaluation mode."""

    member: int

    def network(self, epoch: int) -> Any:
        """The network with the weights after an epoch."""

    def mean_network(self, epochs: Sequence[int]) -> Any:
        """The network with the mean of the weights after several epochs."""


@dataclass(frozen=True)
class BaseMethod:
    """A method's settings and how it draws samples from the posterior over networks."""

    schema: ClassVar[Schema] = {}
    """JSON schema of the fields, beside the keys that every method has."""

    temperature: float = 1.0
    """Logits are divided by it before the softmax."""

    def members(self) -> range:
        """Which runs of its recipe the method uses; each has its own initial weights and data
        order."""
        return range(1)

    def checkpoint_epochs(self, schedule: Schedule) -> list[int]:
        """The epochs whose weights a run must keep for this method; the last one by default."""
        return [schedule.epochs - 1]

    def samples(
        self, runs: Sequence[TrainedRun], schedule: Schedule
    ) -> Iterator[tuple[Sample, Any]]:
        """Samples of the posterior, each with the network that predicts it."""
        for run in runs:
            for epoch in self.checkpoint_epochs(schedule):
                yield Sample(run.member, epoch), run.network(epoch)
