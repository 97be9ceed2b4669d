"""Masks made by hand."""

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.bool_]
Spacing = tuple[float, ...]


def disc(size: int, radius: float) -> Masks:
    centre = (size - 1) / 2
    rows, columns = np.ogrid[:size, :size]
    return (rows - centre) ** 2 + (columns - centre) ** 2 <= radius**2
