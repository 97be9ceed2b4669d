"""Vector scaling (Guo et al., ICML 2017): a factor and an offset of each class's logits."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from cardiouq.methods.base import Fitted, Runs, Style
from cardiouq.methods.single import Rescaled, loss_of_volume
from cardiouq.recipes.schedule import Schedule
from cardiouq.structures import N_CLASSES

if TYPE_CHECKING:
    from cardiouq.methods.single import HeldOut

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Method(Rescaled):
    """softmax(factor * logits + offset), of the lowest negative log-likelihood on held-out voxels.

    Classes are scaled apart, so that the segmentation may change.
    """

    usual_style = Style("#685977", "3")

    def keeps_held_out(self) -> bool:
        return True

    def fit(self, runs: Runs, schedule: Schedule) -> Fitted:
        """Factor and offset of each class; the search begins at the network's own logits."""
        held_out = list(self.held_out(runs, schedule))
        start = np.repeat([1.0, 0.0], N_CLASSES)
        found = minimize(loss_and_gradient, start, (held_out,), method="L-BFGS-B", jac=True)
        factor, offset = found.x.reshape(2, N_CLASSES)
        log.info("factors %s, offsets %s of %d volumes", factor, offset, len(held_out))
        return {"factor": factor, "offset": offset, "volumes": np.array(len(held_out))}

    def rescaled(self, logits: Tensor, fitted: Fitted) -> Tensor:
        parameters = torch.as_tensor(np.stack([fitted["factor"], fitted["offset"]]))
        return scaled_by_class(logits, parameters.to(logits))


def scaled_by_class(logits: Tensor, parameters: Tensor) -> Tensor:
    """Logits (slices, classes, rows, columns) with factor and offset of each class, (2,
    classes)."""
    factor, offset = parameters.view(2, 1, -1, 1, 1)
    return torch.addcmul(offset, factor, logits)


def loss_and_gradient(
    values: NDArray[np.float64], held_out: "Sequence[HeldOut]"
) -> tuple[float, NDArray[np.float64]]:
    """Mean negative log-likelihood of annotated voxels, and its gradient by factors and offsets.

    Args:
        values: (2 * classes,), the factors first.
        held_out: logits and labels of each volume.
    """
    parameters = torch.from_numpy(values).to(held_out[0][0].device).requires_grad_()
    losses, voxels = 0.0, 0
    for logits, labels in held_out:  # the graph of all at once would fill the memory
        loss, annotated = loss_of_volume(scaled_by_class(logits.double(), parameters), labels)
        torch.autograd.backward(loss * annotated)
        losses += loss.item() * annotated
        voxels += annotated
    assert parameters.grad is not None
    return losses / voxels, parameters.grad.cpu().numpy() / voxels
