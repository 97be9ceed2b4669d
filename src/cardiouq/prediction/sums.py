"""Running sums that a case accumulates while the samples of a method pass by."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from cardiouq.data.readers.scans import Case, write_volume
from cardiouq.files.writing import atomic_write, disk_errors_naming
from cardiouq.structures import N_CLASSES

Combine = Callable[[NDArray[np.float32], NDArray[np.uint8]], NDArray[np.float32]]


class CaseSums:
    """Running sums over the samples of one case, and their label maps, all on disk.

    Memory then does not grow with the number of samples or of cases. Summed are each class's
    probability, the entropy in bits and the sum over classes of the squared probability.
    """

    def __init__(self, case: Case, scratch: Path) -> None:
        self.case = case
        self.grid = (case.slices, case.rows, case.columns)
        self.samples = 0
        self._sum_file = scratch / f"{case.case}_sum.npy"
        self._label_file = scratch / f"{case.case}_labels.bin"
        with disk_errors_naming(self._sum_file):
            np.save(self._sum_file, np.zeros((N_CLASSES + 2, *self.grid), np.float32))

    def add(self, probabilities: NDArray[np.float32]) -> None:
        """Add one sample: (classes, slices, rows, columns) on the case's own grid."""
        total = np.load(self._sum_file)
        total[:N_CLASSES] += probabilities
        total[N_CLASSES] += entropy_bits(probabilities)
        total[N_CLASSES + 1] += np.square(probabilities).sum(0)
        # in place, but not mapped into memory: there a full disk would be a SIGBUS
        with disk_errors_naming(self._sum_file), self._sum_file.open("rb+") as stream:
            np.save(stream, total)
        with disk_errors_naming(self._label_file), self._label_file.open("ab") as stream:
            stream.write(probabilities.argmax(0).astype(np.uint8).tobytes())
        self.samples += 1

    def write(self, folder: Path, combine: Combine) -> None:
        """Write segmentation, entropy map and probabilities.

        If there are several samples, their segmentations and maps of mutual information and
        variance are written too.

        Args:
            combine: mean probabilities (classes, slices, rows, columns) and labels (samples,
                slices, rows, columns) of the samples to the method's probabilities.
        """
        means = np.load(self._sum_file) / np.float32(self.samples)
        mean, expected_entropy, squares = means[:N_CLASSES], means[-2], means[-1]
        labels = np.fromfile(self._label_file, np.uint8).reshape(self.samples, *self.grid)
        combined = combine(mean, labels)
        volumes = {
            "segmentation": combined.argmax(0).astype(np.uint8),
            "entropy": entropy_bits(combined),
        }
        if self.samples > 1:
            # neither is negative but by rounding
            volumes["mutual_information"] = (entropy_bits(mean) - expected_entropy).clip(min=0)
            volumes["variance"] = (squares - np.square(mean).sum(0)).clip(min=0) / N_CLASSES
            volumes["samples"] = labels
        for name, volume in volumes.items():
            write_volume(volume, self.case, folder / f"{self.case.case}_{name}.nii.gz")
        with atomic_write(folder / f"{self.case.case}_probabilities.npy") as temporary:
            np.save(temporary, combined.astype(np.float16))


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
