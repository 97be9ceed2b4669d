"""A label that looks like a heart."""

from typing import Any

import numpy as np

SPACING = (8.0, 1.25, 1.5)


def heart(
    shape: tuple[int, int, int] = (3, 61, 71), centre: tuple[int, int] = (30, 34), scale: int = 1
) -> Any:
    """A ring of MYO around LV, and RV beside it, as seen with square pixels."""
    rows, columns = np.indices(shape[1:])
    label = np.zeros(shape, np.uint8)
    for value, offset, radius in ((1, -7, 7), (2, 2, 8), (3, 2, 5)):
        disc = (rows - centre[0]) ** 2 + (columns - centre[1] - offset * scale) ** 2
        label[:, disc <= (radius * scale) ** 2] = value
    return label
