"""End-diastole and end-systole of a cine, by the LV's volumes over its frames.

The largest and the smallest of many volumes are larger and smaller than the heart's, as each is a
little wrong, and one frame in which the LV is missed would be end-systole. So the curve is smoothed
before its ends are sought, and what lies far off it is left out.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cardiouq.apply.measures import FrameMeasures
from cardiouq.structures import STRUCTURES

ED, ES = "ED", "ES"
FEWEST_FRAMES = 12
"""Frames from which on curves are smoothed; of fewer, a heart empties as suddenly as a frame fails.
ACDC's cines have as many at least."""
MOST_OFF = 0.25
"""Share of the smoothed curve's range that a volume may be off it, or else its frame is missed."""

Floats = NDArray[np.float64]


def phases(frames: Sequence[FrameMeasures]) -> dict[str, int]:
    """End-diastole and end-systole of a cine -> their frames, from 0.

    They are where the LV's volumes, smoothed, are largest and smallest, frames that are missed left
    out. Of fewer than `FEWEST_FRAMES` they are the frames with the largest and the smallest LV.
    None of a single volume, which may be at either, and without an LV.
    """
    if len(frames) == 1 or "LV" not in STRUCTURES:
        return {}
    volumes = np.array([frame.ml["LV"] for frame in frames])
    curve, missed = volumes, np.zeros(len(volumes), bool)
    if len(volumes) >= FEWEST_FRAMES:
        middle = np.median(_neighbours(volumes), axis=0)
        curve = _neighbours(middle).mean(0)
        missed = np.abs(volumes - middle) > MOST_OFF * np.ptp(middle)
    # a missed frame comes behind all others
    return {
        ED: int(np.lexsort((-curve, missed))[0]),
        ES: int(np.lexsort((curve, missed))[0]),
    }


def _neighbours(values: Floats) -> Floats:
    """Each value between its neighbours, (3, n); the heart beats on, so the ends are neighbours."""
    return np.stack([np.roll(values, 1), values, np.roll(values, -1)])
