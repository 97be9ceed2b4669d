"""Running sums that a case accumulates while the samples of a method pass by."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import entr
from torch import Tensor

from cardiouq.data.readers.scans import Case, write_volumes
from cardiouq.files.writing import atomic_write
from cardiouq.structures import N_CLASSES

Combine = Callable[[NDArray[np.float32], NDArray[np.uint8]], NDArray[np.float32]]


class CaseSums:
    """Running sums over the samples of one case, and their label maps, on the predictor's device.

    Memory then does not grow with the number of samples, but for a byte per voxel and sample.
    Summed are each class's probability, the entropy in bits and the sum over classes of the squared
    probability.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.total = torch.zeros(())
        self.labels: list[Tensor] = []

    @torch.inference_mode()
    def add(self, probabilities: Tensor) -> None:
        """Take in one sample: (classes, slices, rows, columns) on the case's own grid."""
        entropy = torch.special.entr(probabilities.clamp_max(1)).sum(0, keepdim=True) / math.log(2)
        squares = probabilities.square().sum(0, keepdim=True)
        self.total = torch.cat([probabilities, entropy, squares]).add_(self.total)
        self.labels.append(probabilities.max(0).indices.to(torch.uint8))

    def products(self, combine: Combine) -> dict[str, NDArray[Any]]:
        """What comes of all samples, on the case's own grid.

        Args:
            combine: mean probabilities (classes, slices, rows, columns) and labels (samples,
                slices, rows, columns) of the samples to the method's probabilities.

        Returns:
            segmentation, entropy (bits) and probabilities (classes first, float32); of several
            samples also mutual_information (bits), variance and samples, their labels; of a method
            whose distribution is not their mean expected_entropy (bits), which entropy and mutual
            information then no longer tell.
        """
        means = (self.total / len(self.labels)).cpu().numpy()
        mean, expected_entropy, squares = means[:N_CLASSES], means[-2], means[-1]
        labels = torch.stack(self.labels).cpu().numpy()
        combined = combine(mean, labels)
        volumes: dict[str, NDArray[Any]] = {
            "segmentation": combined.argmax(0).astype(np.uint8),
            "entropy": entropy_bits(combined),
            "probabilities": combined,
        }
        if len(labels) > 1:
            # neither is negative but by rounding
            volumes["mutual_information"] = (entropy_bits(mean) - expected_entropy).clip(min=0)
            volumes["variance"] = (squares - np.square(mean).sum(0)).clip(min=0) / N_CLASSES
            volumes["samples"] = labels
        if len(labels) > 1 and combined is not mean:
            volumes["expected_entropy"] = expected_entropy
        return volumes

    def write(self, folder: Path, combine: Combine) -> None:
        """Write the products: volumes as NIfTI, probabilities as an array of float16.

        Args:
            folder: of a test set.
            combine: as of `products`.
        """
        volumes = self.products(combine)
        # torch's rounding is numpy's, and ten times as fast
        probabilities = torch.from_numpy(volumes.pop("probabilities")).half().numpy()
        case = self.case.case
        write_volumes(
            {folder / f"{case}_{name}.nii.gz": volumes[name] for name in volumes}, self.case
        )
        with atomic_write(folder / f"{case}_probabilities.npy") as temporary:
            np.save(temporary, probabilities)


def entropy_bits(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Entropy over classes in bits (of mean probabilities: Eq. 3 of Zhao et al., MICCAI 2022).

    Args:
        probabilities: (classes, ...), summing to 1 over the first axis.

    Returns:
        (...) float32, from 0 to log2(classes).
    """
    at_most_one = np.minimum(probabilities, 1)  # a mean may exceed 1 by a rounding error
    entropy: NDArray[np.float32] = (entr(at_most_one).sum(0) / np.log(2)).astype(np.float32)
    return entropy
