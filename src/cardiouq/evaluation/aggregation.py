"""Aggregations of a map of uncertainty to one number of a volume or of a slice.

Most of the uncertainty of any segmentation lies along its boundary, whether it is good or bad, and
its mean over all voxels grows with the heart. The aggregations here look elsewhere, as in the
benchmark of Zenk et al. (Medical Image Analysis, 2025). Slices lie several voxels' widths apart, so
a boundary, a patch and a component are those of a slice's plane; the benchmark's are of volumes.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, generate_binary_structure, label, uniform_filter

from cardiouq.evaluation.surface import occupied_box

BOUNDARY = 4
"""Width of a boundary in voxels, half of them to either side."""
PATCH = 10
"""Length of a patch's sides in voxels."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

IN_PLANE = generate_binary_structure(2, 1)[None]


def aggregate(
    entropy: NDArray[np.floating], segmentation: NDArray[np.integer], annotated: Mask
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Aggregate the entropy of a volume and of its slices, and what a forest learns from beside it.

    Args:
        entropy: in bits, (slices, rows, columns).
        segmentation: labels, likewise.
        annotated: where someone did; nothing else counts.

    Returns:
        Name -> (1,) of the volume, and name -> (slices,):
        entropy_without_boundary_bits, entropy_foreground_bits: mean over the voxels that are not
            near a boundary of the segmentation, and over its foreground; over all of them where
            there is none such;
        entropy_patch_bits: the largest mean over a patch;
        entropy_at_boundary_percent: the share of the summed entropy that is near a boundary, 0
            where there is no entropy;
        foreground_percent: the share of the voxels that is foreground;
        components: connected parts of the foreground, of a volume the sum over its slices.
    """
    boundary = near_boundary(segmentation, annotated)
    foreground = (segmentation > 0) & annotated
    entropy = entropy * annotated
    regions = annotated, boundary, foreground
    sums = np.stack(
        [
            *(region.sum((1, 2), np.float64) for region in regions),
            *(entropy.sum((1, 2), np.float64, where=region) for region in regions),
            [label(of_slice)[1] for of_slice in foreground],
        ]
    )
    rows, columns = occupied_box(annotated)[1:]
    patches = patch_maxima(entropy[:, rows, columns])
    of_volume = _numbers(sums.sum(1, keepdims=True), patches.max(keepdims=True))
    return of_volume, _numbers(sums, patches)


def _numbers(sums: Floats, patches: Floats) -> dict[str, Floats]:
    """What is read off the sums over regions (7, n) and the patches (n,) of n slices or volumes."""
    voxels, near, inside, total, at_boundary, in_foreground, components = sums
    mean = _ratio(total, voxels, 0)
    return {
        "entropy_without_boundary_bits": _ratio(total - at_boundary, voxels - near, mean),
        "entropy_foreground_bits": _ratio(in_foreground, inside, mean),
        "entropy_patch_bits": patches,
        "entropy_at_boundary_percent": 100 * _ratio(at_boundary, total, 0),
        "foreground_percent": 100 * _ratio(inside, voxels, 0),
        "components": components,
    }


def near_boundary(segmentation: NDArray[np.integer], annotated: Mask) -> Mask:
    """Voxels within half of `BOUNDARY` of a boundary between classes, in the plane of their slice.

    A boundary runs between two neighbours of different labels that are both annotated.

    Args:
        segmentation, annotated: (slices, rows, columns).
    """
    near = np.zeros(segmentation.shape, bool)
    for axis in (1, 2):
        labels, known, marked = (np.moveaxis(a, axis, 0) for a in (segmentation, annotated, near))
        differs = (labels[1:] != labels[:-1]) & known[1:] & known[:-1]
        marked[1:] |= differs
        marked[:-1] |= differs
    return np.asarray(binary_dilation(near, IN_PLANE, BOUNDARY // 2 - 1) & annotated)


def patch_maxima(uncertainty: NDArray[np.floating]) -> Floats:
    """Largest mean over a square patch of each slice (slices, rows, columns), (slices,).

    The patch is smaller where the image is.
    """
    size = np.minimum(PATCH, uncertainty.shape[1:])
    means = uniform_filter(uncertainty.astype(np.float64), (1, *size), mode="constant")
    whole = (
        slice(side // 2, side // 2 + length - side + 1)
        for side, length in zip(size, uncertainty.shape[1:], strict=True)
    )
    return np.asarray(means[:, *whole].max((1, 2)))


def _ratio(part: Floats, whole: Floats, otherwise: Floats | float) -> Floats:
    """Part / whole (n,), and what stands there otherwise where the whole is 0."""
    settled = np.full_like(whole, 0) + otherwise
    return np.divide(part, whole, out=settled, where=whole > 0)
