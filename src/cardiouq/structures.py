"""Structures of a study, in the project's label order.

A process works on one study, whose structures reach it through the environment, as its device does
(`device/environment.py`); without one they are the heart's three.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRUCTURES_VARIABLE = "CARDIOUQ_STRUCTURES"
"""Variable with the names of the structures, as `variable_of` writes them."""
HEART = ("RV", "MYO", "LV")
"""Structures of the heart, in ACDC's order."""


def variable_of(structures: Sequence[str]) -> str:
    """Value of the environment's variable, in which a name may hold any character."""
    return json.dumps(list(structures))


STRUCTURES = tuple(json.loads(os.environ.get(STRUCTURES_VARIABLE, variable_of(HEART))))
"""Foreground structures: a structure's label is its index + 1, background is 0."""

BACKGROUND = "background"
FOREGROUND = "foreground"
"""Name, in scores, of all structures taken as one."""
ALL = "all"
"""Name in place of a structure's for a number that is of all classes."""
MEAN = "mean"
"""Name in place of a structure's for the mean of the structures' numbers."""

PHANTOM = "phantom"
"""Source, in a study, of a data set whose scans a rule generates."""

N_CLASSES = len(STRUCTURES) + 1

IGNORE = "ignore"
"""Name that no structure has, of what nobody annotated, as nnU-Net calls it."""
IGNORED = 255
"""Label of what nobody annotated; it is no class, and there is no loss and no score there."""


def label_of(structure: str) -> int:
    """Label value of a structure in the project's order; raises ValueError for an unknown name."""
    return STRUCTURES.index(structure) + 1


def mask_of(labels: NDArray[Any], structure: str) -> NDArray[np.bool_]:
    """Voxels of a structure, or of the whole foreground, in an array of labels."""
    mask: NDArray[np.bool_]
    if structure == FOREGROUND:
        mask = (labels > 0) & (labels != IGNORED)
    else:
        mask = labels == label_of(structure)
    return mask


def values_of(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Values that an array of labels may hold: every class, after `IGNORED` if it holds that.

    It is first, so that of two shares alike the unknown one counts.
    """
    unknown = [IGNORED] if (labels == IGNORED).any() else []
    return np.array([*unknown, *range(N_CLASSES)], np.uint8)
