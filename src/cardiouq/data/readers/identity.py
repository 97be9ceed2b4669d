"""What makes two volumes the same: their values as they are read, not the bytes that store them."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DIGITS = 16
"""Hexadecimal digits of a hash and of an identity."""


def hash_of(volume: NDArray[Any]) -> str:
    """Text that two arrays share if they hold the same values in the same order.

    A network that learns from either ends with the same weights.
    """
    return hashlib.sha256(np.ascontiguousarray(volume).data).hexdigest()[:DIGITS]


def identity_of(volume: NDArray[Any]) -> str:
    """Text that two arrays share if they are one scan, however it is stored.

    Axes may be flipped and reordered, and intensities scaled: it depends on the ranks of the
    values only, namely on how many voxels hold each, and on the sums of the ranks in each plane
    along each axis, from whichever end.
    """
    ranks, values = pd.factorize(volume.ravel(), sort=True)
    sums = [
        ranks.reshape(volume.shape).sum(axis=tuple({0, 1, 2} - {axis}))
        for axis in range(volume.ndim)
    ]
    parts = sorted(min(planes.tobytes(), planes[::-1].tobytes()) for planes in sums)
    counts = np.bincount(ranks, minlength=len(values)).tobytes()
    return hashlib.sha256(b"".join([counts, *parts])).hexdigest()[:DIGITS]
