"""Whether a model's weights may be stored in half precision, which takes half the bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cardiouq.data.readers.scans import Case
from cardiouq.device.choose import make_deterministic
from cardiouq.methods.base import Fitted, Sampler
from cardiouq.prediction.activations import Activations
from cardiouq.prediction.predict import sum_samples
from cardiouq.prediction.runs import RunWeights


class HalvedRun(RunWeights):
    """The weights of a run as they come from files in half precision."""

    def _weights(self, epoch: int) -> dict[str, torch.Tensor]:
        return {name: weight.half() for name, weight in super()._weights(epoch).items()}


def storage(
    method: Sampler, halved: Sampler, fitted: Fitted, cases: Sequence[Case], seed: int
) -> tuple[torch.dtype, str]:
    """The type that weights are stored in, and why, in words that follow "weights".

    It is half precision if that changes no label, neither of the segmentation nor of a sample. Both
    are predicted with here, as more labels change from one processor to another than by halving
    weights. The first volume that changes decides.

    Args:
        method: with the weights as they were trained.
        halved: the same of `HalvedRun`s.
        fitted: what it learnt.
        cases: that are predicted.
        seed: of whatever the method draws.
    """
    make_deterministic()
    if not cases:
        return torch.float32, "in single precision, as there is no volume to try another one on"
    for case in cases:
        one, other = (_labels(sampler, fitted, case, seed) for sampler in (method, halved))
        if changed := np.count_nonzero((one != other).any(0)):
            return torch.float32, (
                f"in single precision, as half precision would change labels of {changed} voxels "
                f"of a volume (of its structures: {np.count_nonzero(one[0])})"
            )
    return torch.float16, f"in half precision, which changes no label in {len(cases)} volumes"


def _labels(sampler: Sampler, fitted: Fitted, case: Case, seed: int) -> NDArray[Any]:
    """Labels of a case, (1 + samples, slices, rows, columns): first those of the segmentation."""
    sums, _ = sum_samples(sampler, fitted, [case], seed, Activations())
    products = sums[case.case].products(
        lambda mean, labels: sampler.method.combine(mean, labels, fitted)
    )
    segmentation = products["segmentation"][None]
    return np.concatenate([segmentation, products.get("samples", segmentation)])
