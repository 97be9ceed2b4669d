"""One network: Vanilla, and Temp. Scaling with a fixed or a fitted temperature."""

import logging
from collections.abc import Iterator, Sequence
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
    setting,
)
from cardiouq.recipes.schedule import Schedule
from cardiouq.structures import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

TEMPERATURES = (0.1, 10.0)
"""Bounds of a fitted temperature."""


@dataclass(frozen=True)
class Method(BaseMethod):
    """The last weights of one run; softmax(logits / temperature).

    Zhao et al. (MICCAI 2022) fix the temperature of Temp. Scaling at 1.5. `fitted` minimises the
    negative log-likelihood of held-out subjects (Guo et al., ICML 2017): those of the split's
    validation side, or of a cross-validation where those are to be tested on.
    """

    temperature: float | Literal["fitted"] = setting(
        1.0,
        exclusiveMinimum=0,
        help="by which logits are divided, 1.5 in zhao2022; or `fitted` to the lowest negative"
        " log-likelihood of held-out subjects, which are the validation side's, or with `folds`"
        " those of a cross-validation",
    )
    folds: int | None = setting(
        None, minimum=2, help="of the cross-validation that a temperature is fitted on"
    )

    def __post_init__(self) -> None:
        if self.folds and not self.fits():
            raise ValueError("`folds` are for a temperature that is `fitted`")

    def style(self, recipe: Block) -> Style:
        """Black, and greys for temperatures."""
        if self.fits():
            return Style("#C6CACC", "8")
        return Style("#000000", "o") if self.temperature == 1 else Style("#7A7A7A", "s")

    def members(self) -> list[Member]:
        """The run that predicts, and those that the temperature is fitted with."""
        return [Member(), *(folds_of(self.folds) if self.folds else [])]

    def fits(self) -> bool:
        return self.temperature == "fitted"

    def fit(self, runs: Runs, schedule: Schedule) -> Fitted:
        """The temperature of the lowest negative log-likelihood of held-out annotated voxels."""
        if not self.fits():
            return {"temperature": np.array(self.temperature)}
        held_out = [
            pair
            for run in (runs[1:] or runs)
            for pair in run.held_out(run.network(schedule.epochs - 1))
        ]
        temperature = float(
            minimize_scalar(
                lambda value: negative_log_likelihood(held_out, value),
                bounds=TEMPERATURES,
                method="bounded",
            ).x
        )
        log.info("temperature %.3f, fitted on %d held-out volumes", temperature, len(held_out))
        return {"temperature": np.array(temperature), "volumes": np.array(len(held_out))}

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """The network, its logits divided by the temperature."""
        run, epoch = runs[0], schedule.epochs - 1
        temperature = float(fitted["temperature"])
        yield Draw(
            [Sample(run.member, epoch)],
            run.network(epoch),
            lambda output: [output / temperature],
        )


def negative_log_likelihood(
    held_out: "Sequence[tuple[Tensor, NDArray[np.uint8]]]", temperature: float
) -> float:
    """Mean over annotated voxels, in nats, of logits (slices, classes, rows, columns) on labels."""
    from torch import as_tensor

    from cardiouq.recipes.loss import count_labels, cross_entropy

    losses, voxels = 0.0, 0
    for logits, labels in held_out:
        reference = as_tensor(labels, device=logits.device)[:, None]
        annotated = int(np.count_nonzero(labels != IGNORED))
        losses += float(cross_entropy(logits / temperature, count_labels(reference))) * annotated
        voxels += annotated
    return losses / voxels
