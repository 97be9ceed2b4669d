"""One network: Vanilla, and Temp. Scaling with a fixed or a fitted temperature."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from cardiouq.methods.base import (
    BaseMethod,
    Block,
    Draw,
    Fitted,
    Member,
    Runs,
    Sample,
    Style,
    folds_of,
)
from cardiouq.methods.settings import setting
from cardiouq.recipes.schedule import Schedule
from cardiouq.structures import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

    HeldOut = tuple[Tensor, NDArray[np.uint8]]
    """Logits (slices, classes, rows, columns) of a volume, and its labels (slices, rows,
    columns)."""

log = logging.getLogger(__name__)

TEMPERATURES = (0.1, 10.0)
"""Bounds of a fitted temperature."""


@dataclass(frozen=True)
class Rescaled(BaseMethod):
    """The last weights of one run, whose logits go through a map.

    The map is fitted on the split's validation side or, where that is to be tested on, on what the
    runs of a cross-validation leave out.
    """

    folds: int | None = setting(
        None,
        minimum=2,
        help="of the cross-validation whose held-out subjects are fitted on; unless set, those of"
        " the validation side are",
    )

    def members(self) -> list[Member]:
        """The run that predicts, and those that the map is fitted with."""
        return [Member(), *(folds_of(self.folds) if self.folds else [])]

    def network_passes(self, schedule: Schedule) -> int:
        """One, as the other members do not predict."""
        return 1

    def fits(self) -> bool:
        return True

    def held_out(self, runs: Runs, schedule: Schedule) -> "Iterator[HeldOut]":
        """The held-out volumes, one after the other."""
        for run in runs[1:] or runs:
            yield from run.held_out(run.network(schedule.epochs - 1))

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """The network, its logits as the map has them."""
        run, epoch = runs[0], schedule.epochs - 1
        yield Draw(
            [Sample(run.member, epoch)],
            run.network(epoch),
            lambda output: [self.rescaled(output, fitted)],
        )

    @abstractmethod
    def rescaled(self, logits: "Tensor", fitted: Fitted) -> "Tensor":
        """What the map makes of logits (slices, classes, rows, columns)."""


@dataclass(frozen=True)
class Method(Rescaled):
    """A run whose logits are divided by a temperature, softmax(logits / temperature).

    Zhao et al. (MICCAI 2022) fix the temperature of Temp. Scaling at 1.5. `fitted` minimises the
    negative log-likelihood of held-out subjects (Guo et al., ICML 2017).
    """

    temperature: float | Literal["fitted"] = setting(
        1.0,
        exclusiveMinimum=0,
        help="by which logits are divided, 1.5 in zhao2022; or `fitted` to the lowest negative"
        " log-likelihood of held-out subjects",
    )

    def __post_init__(self) -> None:
        if self.folds and not self.fits():
            raise ValueError("`folds` are for a temperature that is `fitted`")

    def style(self, recipe: Block) -> Style:
        """Black, and greys for temperatures."""
        if self.fits():
            return Style("#C6CACC", "8")
        return Style("#000000", "o") if self.temperature == 1 else Style("#7A7A7A", "s")

    def fits(self) -> bool:
        return self.temperature == "fitted"

    def keeps_held_out(self) -> bool:
        return self.fits()

    def fit(self, runs: Runs, schedule: Schedule) -> Fitted:
        """The temperature of the lowest negative log-likelihood of held-out annotated voxels."""
        if not self.fits():
            return {"temperature": np.array(self.temperature)}
        held_out = list(self.held_out(runs, schedule))
        temperature = float(
            minimize_scalar(
                lambda value: negative_log_likelihood(held_out, lambda logits: logits / value),
                bounds=TEMPERATURES,
                method="bounded",
            ).x
        )
        log.info("temperature %.3f, fitted on %d held-out volumes", temperature, len(held_out))
        return {"temperature": np.array(temperature), "volumes": np.array(len(held_out))}

    def rescaled(self, logits: "Tensor", fitted: Fitted) -> "Tensor":
        return logits / float(fitted["temperature"])


def negative_log_likelihood(
    held_out: "Sequence[HeldOut]", rescale: "Callable[[Tensor], Tensor]"
) -> float:
    """Mean over annotated voxels, in nats, of logits that go through a map."""
    losses, voxels = 0.0, 0
    for logits, labels in held_out:
        loss, annotated = loss_of_volume(rescale(logits), labels)
        losses += float(loss) * annotated
        voxels += annotated
    return losses / voxels


def loss_of_volume(logits: "Tensor", labels: NDArray[np.uint8]) -> "tuple[Tensor, int]":
    """Mean negative log-likelihood of a volume's annotated voxels, and how many these are."""
    from torch import as_tensor

    from cardiouq.recipes.loss import count_labels, cross_entropy

    counts = count_labels(as_tensor(labels, device=logits.device)[:, None])
    return cross_entropy(logits, counts), int(np.count_nonzero(labels != IGNORED))
