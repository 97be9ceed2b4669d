"""Slices are flagged from the model's threshold on, and it is told which."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiouq.apply.findings import reasons
from cardiouq.apply.measures import measure


@pytest.fixture
def products() -> dict[str, NDArray[np.generic]]:
    """Of three slices the second's samples differ, and the third is less sure of the LV."""
    segmentation = np.zeros((3, 20, 20), np.uint8)
    segmentation[:, 5:15, 5:15] = 3
    other = segmentation.copy()
    other[1] = np.roll(segmentation[1], 6, axis=1)
    probabilities = np.zeros((4, *segmentation.shape), np.float32)
    probabilities[3] = (segmentation == 3) * np.array([1, 1, 0.6])[:, None, None]
    probabilities[0] = 1 - probabilities[3]
    return {
        "segmentation": segmentation,
        "samples": np.stack([segmentation, other]),
        "probabilities": probabilities,
        "entropy": np.zeros(segmentation.shape, np.float32),
    }


@pytest.mark.parametrize(
    ("metric", "start", "slices", "said"),
    [
        ("assd_within_mm", 1.0, [1], {"LV uncertain": "slice 2"}),
        ("assd_within_mm", 0.0, [0, 1, 2], {"LV uncertain": "slices 1-3"}),
        ("assd_within_mm", None, [], {}),
        ("estimated_dice", 0.2, [2], {"LV uncertain": "slice 3"}),
    ],
)
def test_slices_as_uncertain_as_the_threshold_are_flagged(
    products: dict[str, NDArray[np.generic]],
    metric: str,
    start: float | None,
    slices: list[int],
    said: dict[str, str],
) -> None:
    limits = {"LV": {"metric": metric, "from": start}}
    found = measure(products, (8.0, 1.5, 1.5), limits, pooled=True)
    assert found.flagged == {"LV": slices}
    told = reasons([found], {}, [[]])
    assert {what: where for what, where in told.items() if what.endswith("uncertain")} == said
