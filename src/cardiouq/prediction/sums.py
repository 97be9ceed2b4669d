"""What a case accumulates while the samples of a method pass by."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from cardiouq.data.scans import Case, write_volume
from cardiouq.files import written_whole
from cardiouq.structures import N_CLASSES


class CaseSums:
    """Running sum of probabilities and the samples' label maps of one case, both on disk.

    Memory then does not grow with the number of samples or of cases.
    """

    def __init__(self, case: Case, scratch: Path) -> None:
        self.case = case
        self.grid = (case.slices, case.rows, case.columns)
        self.samples = 0
        self._sum_file = scratch / f"{case.case}_sum.npy"
        self._label_file = scratch / f"{case.case}_labels.bin"
        np.lib.format.open_memmap(self._sum_file, "w+", np.float32, (N_CLASSES, *self.grid))

    def add(self, probabilities: NDArray[np.float32]) -> None:
        """Take in one sample: (classes, slices, rows, columns) on the case's own grid."""
        total = np.load(self._sum_file, mmap_mode="r+")
        total += probabilities
        with self._label_file.open("ab") as stream:
            stream.write(probabilities.argmax(0).astype(np.uint8).tobytes())
        self.samples += 1

    def write(self, folder: Path) -> None:
        """Write segmentation, entropy map, mean probabilities and, if there are several, the
        samples' segmentations."""
        mean = np.load(self._sum_file) / np.float32(self.samples)
        segmentation = mean.argmax(0).astype(np.uint8)
        write_volume(segmentation, self.case, folder / f"{self.case.case}_segmentation.nii.gz")
        entropy = predictive_entropy(mean)
        write_volume(entropy, self.case, folder / f"{self.case.case}_entropy.nii.gz")
        with written_whole(folder / f"{self.case.case}_probabilities.npy") as temporary:
            np.save(temporary, mean.astype(np.float16))
        if self.samples > 1:
            labels = np.fromfile(self._label_file, np.uint8).reshape(self.samples, *self.grid)
            write_volume(labels, self.case, folder / f"{self.case.case}_samples.nii.gz")


def predictive_entropy(mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Entropy of the mean probabilities over classes, in bits (Eq. 3 of Zhao et al., MICCAI 2022).

    Args:
        mean: (classes, ...), summing to 1 over the first axis.

    Returns:
        (...) float32, from 0 to log2(classes).
    """
    at_most_one = np.minimum(mean, 1)  # a mean may exceed 1 by a rounding error
    entropy: NDArray[np.float32] = (entr(at_most_one).sum(0) / np.log(2)).astype(np.float32)
    return entropy
