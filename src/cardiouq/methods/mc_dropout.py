"""MC-Dropout (Gal and Ghahramani, ICML 2016)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from cardiouq.methods.base import BaseMethod, Block, Draw, Fitted, Runs, Sample, Style
from cardiouq.methods.settings import setting
from cardiouq.recipes.schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor

    from cardiouq.recipes.network import UNet


@dataclass(frozen=True)
class Method(BaseMethod):
    """Passes of one network that was trained with dropout, with dropout left on.

    Rate, place and kind of the dropout are the recipe's: Zhao et al. (MICCAI 2022) have p = 0.1,
    place unknown; Ng et al. (IEEE TBME 2022) p = 0.1 and 0.5 in the middle layers, 50 passes. What
    is dropped, elements or channels, neither says.
    """

    passes: int = setting(30, minimum=1, help="with dropout on, which is the recipe's")

    def problems(self, recipe: Block, plan: Block) -> Iterator[str]:
        if recipe["dropout"]["p"] == 0:
            yield "its `dropout.p` is 0, which makes all passes equal; expected a rate above 0"

    def style(self, recipe: Block) -> Style:
        """Greens: in the middle layers alone, light for little dropout and dark for much."""
        dropout = recipe["dropout"]
        if dropout["place"] != "middle":
            return Style("#009E73", "v")
        return Style("#4CBD71", "<") if dropout["p"] < 0.3 else Style("#085340", ">")

    def network_passes(self, schedule: Schedule) -> int:
        return self.passes

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """All passes of a run at once."""
        for run in runs:
            for epoch in self.checkpoint_epochs(schedule):
                sample = Sample(run.member, epoch)
                network = cast("UNet", run.network(epoch))
                yield Draw([sample] * self.passes, Passes(network, self.passes))


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
