"""MC-Dropout (Gal and Ghahramani, ICML 2016)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cardiouq.methods.base import BaseMethod, Sample, Schema, TrainedRun
from cardiouq.training.schedule import Schedule


@dataclass(frozen=True)
class Method(BaseMethod):
    """Passes of one network that was trained with dropout, with dropout left on.

    Rate and place of the dropout are the recipe's.
    """

    schema: ClassVar[Schema] = {"passes": {"type": "integer", "minimum": 1}}

    passes: int = 30

    def samples(
        self, runs: Sequence[TrainedRun], schedule: Schedule
    ) -> Iterator[tuple[Sample, Any]]:
        """The same network once per pass; the seed of a pass is its sample's number."""
        for run in runs:
            for epoch in self.checkpoint_epochs(schedule):
                network = run.network(epoch)
                for module in network.modules():
                    if type(module).__name__.startswith("Dropout"):
                        module.train()
                for _ in range(self.passes):
                    yield Sample(run.member, epoch), network
