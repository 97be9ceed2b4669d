"""MC-Dropout (Gal and Ghahramani, ICML 2016)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cardiouq.methods.base import BaseMethod, Draw, Fitted, Sample, Schema, TrainedRun

if TYPE_CHECKING:
    from torch import Tensor

    from cardiouq.recipes.network import UNet


@dataclass(frozen=True)
class Method(BaseMethod):
    """Passes of one network that was trained with dropout, with dropout left on.

    Rate and place of the dropout are the recipe's: Zhao et al. (MICCAI 2022) have p = 0.1, place
    unknown; Ng et al. (IEEE TBME 2022) p = 0.1 and 0.5 in the middle layers, 50 passes.
    """

    schema: ClassVar[Schema] = {"passes": {"type": "integer", "minimum": 1}}

    passes: int = 30

    def draws(self, runs: Sequence[TrainedRun], schedule: Any, fitted: Fitted) -> Iterator[Draw]:
        """All passes of a run at once."""
        for run in runs:
            for epoch in self.checkpoint_epochs(schedule):
                sample = Sample(run.member, epoch)
                yield Draw([sample] * self.passes, Passes(run.network(epoch), self.passes))


class Passes:
    """Passes with dropout on, (batch, passes * classes, rows, columns).

    What lies before the first dropout layer is the same in every pass and computed once.
    """

    def __init__(self, network: "UNet", passes: int) -> None:
        for module in network.modules():
            if type(module).__name__.startswith("Dropout"):
                module.train()
        self.network = network
        self.passes = passes

    def __call__(self, images: "Tensor") -> "Tensor":
        from torch import cat

        certain = self.network.encode(images, last=self.network.first_dropout_stage() - 1)
        logits = []
        for _ in range(self.passes):
            features = self.network.encode(images, known=certain)
            logits.append(self.network.output_block(self.network.decode(features)[-1]))
        return cat(logits, dim=1)
