"""The structures of the heart that every room speaks of, in the project's label order."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

STRUCTURES = ("RV", "MYO", "LV")
"""Foreground structures in ACDC's order: a structure's label is its index + 1, background is 0."""

FOREGROUND = "foreground"
"""What scores call all structures taken as one."""

N_CLASSES = len(STRUCTURES) + 1


def label_of(structure: str) -> int:
    """Label value of a structure in the project's order; raises ValueError for an unknown name."""
    return STRUCTURES.index(structure) + 1


def mask_of(labels: NDArray[Any], structure: str) -> NDArray[np.bool_]:
    """Voxels of a structure, or of the whole foreground, in an array of labels."""
    return labels > 0 if structure == FOREGROUND else labels == label_of(structure)
