"""Heat maps, the probability of a structure at each voxel, and how far they can be trusted.

The measures are those of Buddenkotte et al. (2023, arXiv 2209.09563). Stored probabilities are
float16: a voxel is possible from 2^-25 on, below which 0 is stored, and certain from 0.98999 on,
which is stored as the first value above 0.99. No number is left out where a mask is empty; each
function says what stands there.
"""

import numpy as np
from numpy.typing import NDArray

from cardiouq.evaluation.empty_masks import mask_sizes, settle_empty
from cardiouq.structures import FOREGROUND, label_of

CERTAIN = 0.99

Masks = NDArray[np.bool_]
Floats = NDArray[np.float64]


def heat_map(probabilities: NDArray[np.floating], structure: str) -> Floats:
    """Probability of a structure at each voxel, from 0 to 1, (slices, rows, columns).

    That of the whole foreground is the sum of its structures': 1 less the background, but a
    background of almost 1 is stored to 2^-11 only and would make small probabilities 0.

    Args:
        probabilities: (classes, slices, rows, columns).
        structure: one of `STRUCTURES`, or the whole foreground.
    """
    if structure != FOREGROUND:
        return np.asarray(probabilities[label_of(structure)], np.float64)
    return np.asarray(np.minimum(probabilities[1:].sum(0, dtype=np.float64), 1))


def estimated_dice(heat: Floats, predictions: Masks) -> Floats:
    """Dice coefficient that each segmentation has according to its heat map, (n,) from 0 to 1.

    It is 2 sum(h p) / sum(h + p) of heat map h and segmentation p. The Dice of an empty p is 1 if
    the structure is nowhere and else 0. There stands 1 - max(h), the probability of "nowhere" if
    the voxels go together: by the formula's 0, who finds nothing would foresee its failures.

    Args:
        heat: (n, ...) from 0 to 1.
        predictions: (n, ...) segmentations.
    """
    voxels = tuple(range(1, heat.ndim))
    sizes = mask_sizes(predictions)
    overlap = 2 * np.sum(heat, axis=voxels, where=predictions)
    estimate = overlap / np.maximum(heat.sum(voxels) + sizes, 1)
    return np.asarray(np.where(sizes > 0, estimate, 1 - heat.max(voxels)))


def sensitivity_possible(heat: Floats, references: Masks) -> Floats:
    """Share of each reference's voxels that the heat map holds possible, h > 0, (n,) from 0 to 1.

    It is 1, the best, where the reference is empty, as nothing of it is missed. A map that rules
    out nothing has 1 too: see `precision_certain`. Arguments as of `estimated_dice`.
    """
    sizes = mask_sizes(references)
    share = mask_sizes(references & (heat > 0)) / np.maximum(sizes, 1)
    return np.where(sizes > 0, share, 1.0)


def precision_certain(heat: Floats, references: Masks) -> Floats:
    """Share of voxels held certain, h >= 0.99, that are of the reference, (n,) from 0 to 1.

    Where it holds none certain, 1 if the reference is empty too and else 0: a method must not
    gain by never being certain. Arguments as of `estimated_dice`.
    """
    certain = heat >= CERTAIN
    sizes = mask_sizes(certain)
    share = mask_sizes(certain & references) / np.maximum(sizes, 1)
    return settle_empty(share, sizes, mask_sizes(references), perfect=1, worst=0)
