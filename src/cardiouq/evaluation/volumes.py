"""Volumes of structures, the quantity that cardiac function is computed from."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cardiouq.evaluation.empty_masks import mask_sizes


def volume_ml(masks: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Volume of each mask (n, slices, rows, columns) in ml, (n,): its voxels times the voxel size.

    `spacing` is (z, y, x) in mm, z the distance of slice centres, so that gaps between slices count
    with the slices.
    """
    return mask_sizes(masks).astype(np.float64) * math.prod(spacing) / 1000
