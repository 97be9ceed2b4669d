"""Calibration of a volume's probabilities in the region of the heart.

"ECE" and "ACE" each mean several things. Here every error has a name of its own:

- `ece`: top label, bins of equal width weighted by their voxels (Guo et al., ICML 2017; in the
  heart's bounding box: Zhao et al., MICCAI 2022, Section 3.2);
- `average_ce`: as `ece`, but every occupied bin has the same weight (Neumann et al., 2018);
- `maximum_ce`: the worst occupied bin of `ece` (Guo et al., ICML 2017);
- `classwise_ece`: mean over the classes of each class's probability against its frequency, bins of
  equal width (Kull et al., NeurIPS 2019; "static calibration error" in Nixon et al., 2019);
- `adaptive_ce`: as `classwise_ece`, but in bins of equally many voxels (Nixon et al., CVPR
  Workshops 2019);
- `image_ece`, `image_average_ce`, `image_maximum_ce`: of each structure in each whole image, in
  `IMAGE_BINS` bins, then the mean over structures and images (Barfoot et al., arXiv 2506.03942,
  where they are ECE, ACE and MCE). Background, which is most of an image, is no structure.

All are fractions from 0 (best) to 1.
"""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cardiouq.evaluation.surface import occupied_box
from cardiouq.structures import STRUCTURES

TOP_LABEL = "top"
"""Column `label` of the bins where a voxel's most probable class was binned."""
CLASS_LABELS = ("background", *STRUCTURES)
IMAGE_BINS = 20
"""Bins of the errors of whole images."""

Box = tuple[slice, ...]
Floats = NDArray[np.float64]


def heart_box(
    probabilities: NDArray[np.floating],
    reference: NDArray[np.integer],
    box: Literal["reference", "prediction"],
    margin: int,
) -> Box:
    """Bounding box of all foreground, outside which the background is trivially right.

    Args:
        probabilities: (classes, slices, rows, columns).
        reference: labels (slices, rows, columns).
        box: whose foreground is boxed. If it has none, the whole volume counts.
        margin: voxels by which the box grows on every side of all three axes, as far as the
            volume reaches.
    """
    mask = reference > 0 if box == "reference" else probabilities.argmax(0) > 0
    if not mask.any():
        return (slice(None),) * mask.ndim
    return tuple(
        slice(max(0, extent.start - margin), extent.stop + margin) for extent in occupied_box(mask)
    )


def confidence_bins(
    probabilities: NDArray[np.floating], reference: NDArray[np.integer], bins: int
) -> pd.DataFrame:
    """Sum up confidence and correctness of voxels by bins of confidence.

    A voxel's confidence is the probability of its most probable class, background included, or in
    turn the probability of each class; it is correct where the reference has that class. Bin s of
    n holds confidences in ((s - 1)/n, s/n]; 0 belongs to the first.

    Args:
        probabilities: (classes, ...), of any float type.
        reference: labels (...).
        bins: number of bins.

    Returns:
        Rows of label (`top` or a class), bin (1 to `bins`), voxels (count), confidence and correct
        (sums over the bin's voxels); bins without voxels are left out.
    """
    tables = [
        _bin(probabilities.max(0), probabilities.argmax(0) == reference, bins).assign(
            label=TOP_LABEL
        )
    ]
    for label, (name, probability) in enumerate(zip(CLASS_LABELS, probabilities, strict=False)):
        tables.append(_bin(probability, reference == label, bins).assign(label=name))
    return pd.concat(tables, ignore_index=True)[["label", "bin", "voxels", "confidence", "correct"]]


def structure_bins(
    probabilities: NDArray[np.floating], reference: NDArray[np.integer]
) -> pd.DataFrame:
    """Sum up the probability and the frequency of each structure by `IMAGE_BINS` bins.

    Arguments and result as of `confidence_bins`, but without the rows of the top label and of the
    background.
    """
    tables = [
        _bin(probability, reference == label, IMAGE_BINS).assign(label=name)
        for label, (name, probability) in enumerate(
            zip(STRUCTURES, probabilities[1:], strict=True), start=1
        )
    ]
    return pd.concat(tables, ignore_index=True)[["label", "bin", "voxels", "confidence", "correct"]]


def _bin(confidence: NDArray[np.floating], correct: NDArray[np.bool_], bins: int) -> pd.DataFrame:
    # Compared in double precision, float16 values fall on the right side of every bin's edge.
    confidence = confidence.astype(np.float64).ravel()
    upper_edges = np.arange(1, bins + 1) / bins
    # A mean of rounded probabilities may exceed 1 by a rounding error: the last bin has it.
    index = np.minimum(np.searchsorted(upper_edges, confidence, side="left"), bins - 1)
    voxels = np.bincount(index, minlength=bins)
    table = pd.DataFrame(
        {
            "bin": np.arange(1, bins + 1),
            "voxels": voxels,
            "confidence": np.bincount(index, confidence, bins),
            "correct": np.bincount(index, correct.ravel(), bins).astype(np.int64),
        }
    )
    return table[voxels > 0]


def binned_errors(voxels: Floats, confidence: Floats, correct: Floats) -> dict[str, Floats]:
    """Calibration errors `ece`, `average_ce` and `maximum_ce` of bins.

    Args:
        voxels, confidence, correct: (..., bins) count of voxels and sums over them.

    Returns:
        (...) each; 0 where no bin holds a voxel.
    """
    gap = np.abs(correct - confidence)
    per_voxel = gap / np.where(voxels > 0, voxels, 1)
    occupied = np.count_nonzero(voxels, axis=-1)
    return {
        # voxels / total * |correct / voxels - confidence / voxels|: the bin's voxels cancel
        "ece": gap.sum(-1) / np.maximum(voxels.sum(-1), 1),
        "average_ce": per_voxel.sum(-1) / np.maximum(occupied, 1),
        "maximum_ce": per_voxel.max(-1),
    }


def adaptive_calibration_error(
    probabilities: NDArray[np.floating], reference: NDArray[np.integer], bins: int
) -> float:
    """Calibration error `adaptive_ce`, over bins of (nearly) equally many voxels of each class.

    It is the mean over classes and bins of |frequency - mean probability|, voxels sorted by
    probability. Voxels of equal probability share their mean frequency, so that no order of them
    matters, by which other codes cut them apart.

    Args:
        probabilities: (classes, ...); reference: labels (...); bins: number of bins.
    """
    errors = []
    for label, probability in enumerate(probabilities):
        values, groups, counts = np.unique(
            probability.astype(np.float64).ravel(), return_inverse=True, return_counts=True
        )
        correct = np.bincount(groups.ravel(), (reference == label).ravel(), len(values))
        # cumulative gap, linear within a group of equal probabilities, read off at the bins' ends
        ends = np.append(0, counts.cumsum())
        gap = np.append(0, (correct - values * counts).cumsum())
        cuts = np.linspace(0, ends[-1], bins + 1)
        errors.append(np.abs(np.diff(np.interp(cuts, ends, gap))).sum() / max(ends[-1], 1))
    return float(np.mean(errors))
