"""What no heart looks like, in a segmentation.

Each limit is one that hardly any reference segmentation exceeds: of the 200 of ACDC one has an open
ring, and none any of the others. Their stacks are 45 to 100 mm long.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, center_of_mass, label

from cardiouq.structures import STRUCTURES, mask_of

MOST_OPEN = 0.1
"""Share of the LV's edge in a slice that may touch something else than myocardium."""
MOST_APART = 0.05
"""Share of a structure that may lie apart from its largest part."""
MOST_JUMP_MM = 30.0
"""Distance in the plane of the LV's centres in neighbouring slices."""
SHORTEST_MM = 40.0
"""Distance of the first slice from the last, below which a stack holds no whole heart."""
NEIGHBOURS = np.ones((3, 3, 3))

Oddity = tuple[str, str]
"""What is odd, and where, in words; slices count from 1."""

Labels = NDArray[np.uint8]


def implausible(segmentation: Labels, spacing: tuple[float, float, float]) -> list[Oddity]:
    """Say what is implausible about a segmentation, and where.

    Args:
        segmentation: labels (slices, rows, columns).
        spacing: (z, y, x) in mm.
    """
    found = [text for name in STRUCTURES for text in _of_structure(segmentation, name)]
    if "LV" in STRUCTURES:
        found += [*_short_stack(len(segmentation), spacing[0]), *_jumps(segmentation, spacing[1:])]
    if {"LV", "MYO"} <= set(STRUCTURES):
        found += _open_rings(segmentation)
    return found


def _short_stack(slices: int, distance: float) -> Iterator[Oddity]:
    """A stack that cannot reach from the base to the apex."""
    if (length := (slices - 1) * distance) < SHORTEST_MM:
        yield "short stack", f"{length:.0f} mm from the first slice to the last"


def _of_structure(segmentation: Labels, name: str) -> Iterator[Oddity]:
    """A structure that is missing, in several parts, or interrupted along the slices."""
    mask = mask_of(segmentation, name)
    if not mask.any():
        yield f"no {name}", "anywhere"
        return
    parts, count = label(mask, NEIGHBOURS)
    sizes = np.bincount(parts.ravel())[1:]
    if 1 - sizes.max() / sizes.sum() > MOST_APART:
        yield f"{name} in several parts", f"{count} parts"
    there = np.flatnonzero(mask.any((1, 2)))
    if gaps := sorted(set(range(there[0], there[-1])) - set(there.tolist())):
        yield f"{name} interrupted", ranges(gaps)


def _open_rings(segmentation: Labels) -> Iterator[Oddity]:
    """Slices where the myocardium does not surround the LV."""
    blood, wall = mask_of(segmentation, "LV"), mask_of(segmentation, "MYO")
    slices = []
    for z in np.flatnonzero(blood.any((1, 2))):
        edge = binary_dilation(blood[z]) & ~blood[z]
        if np.mean(~wall[z][edge]) > MOST_OPEN:
            slices.append(int(z))
    if slices:
        yield "LV not ringed by MYO", ranges(slices)


def _jumps(segmentation: Labels, pixel: tuple[float, float]) -> Iterator[Oddity]:
    """Neighbouring slices between which the LV moves too far."""
    blood = mask_of(segmentation, "LV")
    there = np.flatnonzero(blood.any((1, 2)))
    centres = [np.multiply(center_of_mass(blood[z]), pixel) for z in there]
    for below, above, one, other in zip(there, there[1:], centres, centres[1:], strict=False):
        if (jump := float(np.hypot(*(other - one)))) > MOST_JUMP_MM:
            yield "LV jumps", f"{jump:.0f} mm between slices {below + 1} and {above + 1}"


def ranges(slices: list[int]) -> str:
    """Say which slices, counted from 0, in words that count from 1: `slices 1-3, 5`."""
    starts = [z for z in slices if z - 1 not in slices]
    ends = [z for z in slices if z + 1 not in slices]
    texts = [
        f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in zip(starts, ends, strict=True)
    ]
    return f"slice{'s' * (len(slices) > 1)} {', '.join(texts)}"
