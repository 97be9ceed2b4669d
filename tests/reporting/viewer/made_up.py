"""Made-up scans with two methods' readings, for a viewer without a study."""

import numpy as np
from numpy.typing import NDArray

from cardiouq.reporting.viewer.page import Criterion
from cardiouq.reporting.viewer.pictures import Reading, ViewedScan, VolumeCurve
from cardiouq.structures import label_of

METHODS = {"vanilla": "Vanilla", "ensemble": "Deep <Ens.>"}
CRITERIA = [
    Criterion("Dice", "Dice", "mean", low_is_worse=True),
    Criterion("entropy", "entropy", "mean", low_is_worse=False),
]
SHAPE, SPACING = (4, 60, 50), (1.5, 2.0)


def labels_of(shape: tuple[int, ...], row: int) -> NDArray[np.uint8]:
    """A left ventricle of 10 x 8 pixels from a row on, in its wall, in all slices but the last."""
    labels = np.zeros(shape, np.uint8)
    labels[..., :-1, row - 3 : row + 13, 17:31] = label_of("MYO")
    labels[..., :-1, row : row + 10, 20:28] = label_of("LV")
    return labels


def make_scan(
    name: str, dice: dict[str, float], frames: int = 1, *, with_reference: bool = True
) -> ViewedScan:
    """A scan; a method's entropy is the larger the later it comes, and its heart the lower.

    The LV of a cine loses 20 ml a frame by the first method, and twice that by the next.
    """
    shape = (frames, *SHAPE)
    image = np.random.default_rng(1).normal(100, 20, shape).astype(np.float32)
    readings = {}
    for rank, (method, value) in enumerate(dice.items(), start=1):
        segmentation = labels_of(shape, 20 + rank)
        entropy = (0.2 * rank * (segmentation > 0)).astype(np.float32)
        numbers = {"Dice": {"LV": value, "mean": value}, "entropy": {"mean": 0.2 * rank}}
        of_slices = [
            {"Dice": {"LV": z / 10, "mean": np.nan}, "entropy": {"mean": 0.0}}
            for z in range(frames * SHAPE[0])
        ]
        ml = [100.0 - 20 * rank * k for k in range(frames)]
        curve = VolumeCurve({"LV": ml}, {"ED": 0, "ES": frames - 1}) if frames > 1 else None
        readings[method] = Reading(segmentation, entropy, numbers, of_slices, curve)
    reference = labels_of(shape, 20) if with_reference else None
    return ViewedScan(name, [name, "ED", "Test set"], image, SPACING, reference, readings)
