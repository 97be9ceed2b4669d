"""Volumes of structures, the quantity that cardiac function is computed from."""

import math

import numpy as np
from numpy.typing import NDArray


def volume_ml(mask: NDArray[np.bool_], spacing: tuple[float, float, float]) -> float:
    """Volume of a mask in ml: its voxels times the voxel size, `spacing` being (z, y, x) in mm.

    The z spacing is the distance of slice centres, so gaps between slices count with the slices.
    """
    return np.count_nonzero(mask) * math.prod(spacing) / 1000
