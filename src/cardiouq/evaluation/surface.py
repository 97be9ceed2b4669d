"""Distances between the surfaces of masks, in mm, of many pairs of masks at once.

Pairs are of whole volumes (three spatial axes) or of slices (two). The surface of a mask are its
voxels with a face neighbour outside it (outside the image counts), as in MONAI and medpy. In a
volume that makes surface of every voxel that lies not between two slices of its mask, so of all of
a structure that is one or two slices thick. If a mask of a pair has no three neighbouring slices,
the surface of both is therefore the contour: the voxels with such a neighbour in their own slice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from cardiouq.evaluation.empty_masks import diagonal_mm, mask_sizes, settle_empty

Masks = NDArray[np.bool_]
Floats = NDArray[np.float64]

HELD = 0.95
"""Share of a reference's voxels that a margin is to hold."""
REACH = 4
"""Steps of the smallest spacing within which neighbours are looked up before a distance map."""


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm between the surfaces of n pairs of masks.

    Attributes:
        to_reference: per pair, from each surface voxel of the prediction to the nearest of the
            reference; of no length if either mask is empty.
        to_prediction: per pair, the other way round.
        sizes: (2, n) voxels in each prediction and in each reference.
        worst: the image's diagonal in mm, which stands for the distance to a missing surface.
    """

    to_reference: list[Floats]
    to_prediction: list[Floats]
    sizes: NDArray[np.int64]
    worst: float

    def assd(self, pooled: bool = True) -> Floats:
        """Average symmetric surface distance of each pair, (n,) mm, from 0 (best).

        Pooled over the voxels of both surfaces (Heimann et al., IEEE TMI 2009; MONAI, medpy from
        0.5.2 on), or else the mean of the two directed means (medpy to 0.4.0).
        """
        if pooled:
            return self._of_each(lambda there, back: np.concatenate([there, back]).mean())
        return self._of_each(lambda there, back: (there.mean() + back.mean()) / 2)

    def hausdorff(self) -> Floats:
        """Hausdorff distance of each pair, (n,) mm, from 0 (best): the largest of all distances."""
        return self._of_each(lambda there, back: max(there.max(), back.max()))

    def hd95(self) -> Floats:
        """95 % Hausdorff distance of each pair, (n,) mm, from 0 (best).

        It is the larger of the 95th percentiles of the two directions (MONAI; medpy's is the
        percentile of both together).
        """
        return self._of_each(lambda there, back: max(_percentile_95(there), _percentile_95(back)))

    def surface_dice(self, tolerance_mm: float) -> Floats:
        """Normalised surface Dice of each pair, (n,) from 0 to 1 (best).

        It is the share of both surfaces' voxels that lie within the tolerance of the other one
        (Nikolov et al., JMIR 2021; counted in voxels as by MONAI, not in area).
        """
        # headers have spacings in float32, by which five pixels of 0.4 mm are a hair above 2 mm
        within = tolerance_mm * (1 + 1e-6)
        return self._of_each(
            lambda there, back: (np.concatenate([there, back]) <= within).mean(),
            perfect=1.0,
            worst=0.0,
        )

    def _of_each(
        self,
        measure: Callable[[Floats, Floats], float],
        perfect: float = 0.0,
        worst: float | None = None,
    ) -> Floats:
        values = np.array(
            [
                measure(there, back) if there.size else 0.0
                for there, back in zip(self.to_reference, self.to_prediction, strict=True)
            ]
        )
        return settle_empty(
            values, *self.sizes, perfect=perfect, worst=self.worst if worst is None else worst
        )


def surface_distances(
    predictions: Masks,
    references: Masks,
    spacing: Sequence[float],
    image_shape: Sequence[int] | None = None,
) -> SurfaceDistances:
    """Measure the distances between the surfaces of each pair of masks, a lone slice in its plane.

    Args:
        predictions: (n, slices, rows, columns) or (n, rows, columns).
        references: as many, or fewer, m, that are taken in turn: prediction i is compared with
            reference i modulo m. What m references have in common is computed once.
        spacing: in mm along the spatial axes, so as many as the masks have axes but the first.
        image_shape: spatial shape of the image if the masks are cut out of it; its diagonal stands
            for the distance to a missing surface.
    """
    worst = diagonal_mm(image_shape or predictions.shape[1:], spacing)
    region = occupied_box(np.logical_or(predictions.any(0), references.any(0)))
    # masks of a transposed volume are not in the order of their axes
    predictions, references = (
        np.ascontiguousarray(masks[:, *region]) for masks in (predictions, references)
    )
    its_reference = np.arange(len(predictions)) % len(references)
    sizes = np.stack([mask_sizes(predictions), mask_sizes(references)[its_reference]])
    there: list[Floats] = [np.empty(0)] * len(predictions)
    back = list(there)
    flat = is_flat(predictions) | is_flat(references)[its_reference]
    for in_plane in (False, True):
        pairs = np.flatnonzero(sizes.all(0) & (flat == in_plane))
        if pairs.size:
            used, of_pair = np.unique(its_reference[pairs], return_inverse=True)
            one = surface(predictions[pairs], in_plane=in_plane)
            other = surface(references[used], in_plane=in_plane)
            for pair, *found in zip(pairs, *_both_ways(one, other, of_pair, spacing), strict=True):
                there[pair], back[pair] = found
    return SurfaceDistances(there, back, sizes, worst)


def assd_within(
    samples: Masks,
    predictions: Masks,
    spacing: Sequence[float],
    image_shape: Sequence[int],
    *,
    pooled: bool,
) -> Floats:
    """ASSD_within of Ng et al. (IEEE TBME 2022): a prediction's mean ASSD to its samples, (n,) mm.

    Args:
        samples: (samples, n, ...) masks.
        predictions: (n, ...) masks of the samples' mean.
        spacing, image_shape: as of `surface_distances`.
        pooled: as of `SurfaceDistances.assd`.
    """
    # no -1, which is any number where no map has any structure
    flat = samples.reshape(len(samples) * samples.shape[1], *samples.shape[2:])
    distances = surface_distances(flat, predictions, spacing, image_shape).assd(pooled)
    mean: Floats = distances.reshape(len(samples), -1).mean(0)
    return mean


def margin_mm(
    prediction: Masks, reference: Masks, spacing: Sequence[float], slice_shape: Sequence[int]
) -> float:
    """Margin in mm that a prediction needs to hold the share `HELD` of its reference's voxels.

    It is the smallest distance within which so many of them lie from the predicted voxels of their
    own slice. A slice's diagonal stands for the distance in a slice without any, as no margin in
    the plane makes up for it. A reference without a voxel needs no margin.

    Args:
        prediction, reference: (slices, rows, columns) of one volume.
        spacing: (z, y, x) in mm.
        slice_shape: (rows, columns) of the image if the masks are cut out of it.
    """
    found = prediction.any((1, 2))
    missed = reference & ~prediction
    reachable = np.flatnonzero(missed.any((1, 2)) & found)
    in_plane = tuple(spacing[1:])
    distances = [
        np.zeros(np.count_nonzero(reference & prediction)),
        *_directed(missed[reachable], prediction[reachable], in_plane),
        np.full(np.count_nonzero(reference[~found]), diagonal_mm(slice_shape, in_plane)),
    ]
    every = np.concatenate(distances)
    return float(np.quantile(every, HELD, method="inverted_cdf")) if every.size else 0.0


def occupied_box(mask: Masks) -> tuple[slice, ...]:
    """Smallest box that holds every voxel of a mask; a box of no size if there is none."""
    box = []
    for axis in range(mask.ndim):
        occupied = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        box.append(slice(occupied[0], occupied[-1] + 1) if occupied.size else slice(0, 0))
        mask = np.moveaxis(np.moveaxis(mask, axis, 0)[box[-1]], 0, axis)  # less for the next axis
    return tuple(box)


def is_flat(masks: Masks) -> NDArray[np.bool_]:
    """Tell which masks (n, slices, rows, columns) have no three neighbouring slices, (n,)."""
    if masks.ndim < 4:
        return np.zeros(len(masks), bool)
    has = np.asarray(masks.any((2, 3)))
    return np.asarray(~(has[:, :-2] & has[:, 1:-1] & has[:, 2:]).any(1))


def surface(masks: Masks, *, in_plane: bool = False) -> Masks:
    """Voxels of each mask (n, ...) with a face neighbour outside it, of its slice if `in_plane`."""
    inside = masks.copy()
    for axis in range(2 if in_plane else 1, masks.ndim):
        moved_masks, moved_inside = np.moveaxis(masks, axis, 0), np.moveaxis(inside, axis, 0)
        moved_inside[1:] &= moved_masks[:-1]
        moved_inside[:-1] &= moved_masks[1:]
        moved_inside[[0, -1]] = False
    return masks & ~inside


def _both_ways(
    one: Masks, other: Masks, of_pair: NDArray[np.int64], spacing: Sequence[float]
) -> tuple[list[Floats], list[Floats]]:
    """Distances from each surface to that of `other` which `of_pair` names, and from there back;
    none is empty."""
    steps = tuple(spacing)
    # predictions of the same reference share most of their surface: each voxel is asked once
    asked = np.zeros_like(other)
    for index, surface_voxels in zip(of_pair, one, strict=True):
        asked[index] |= surface_voxels
    nearest = np.empty(other.shape)
    nearest[asked] = np.concatenate(_directed(asked, other, steps))
    there = [nearest[index][voxels] for index, voxels in zip(of_pair, one, strict=True)]
    return there, _directed(other[of_pair], one, steps)


def _directed(sources: Masks, targets: Masks, spacing: tuple[float, ...]) -> list[Floats]:
    """Per pair, the distance from each source voxel to the nearest target voxel; none is empty.

    Target voxels are looked for at growing distances around all source voxels at once, so the
    first hit is the nearest. Most lie a few voxels away: this takes a fraction of the time of a
    distance transform (`benchmarks/metrics.py`). A k-d tree finds those that lie farther.
    """
    offsets, lengths, margin = _neighbourhood(spacing)
    padding = [(0, 0), *((m, m) for m in margin)]
    around = np.pad(targets, padding)
    steps = np.array([np.prod(around.shape[axis + 1 :]) for axis in range(1, around.ndim)], int)
    around = around.ravel()
    waiting = np.flatnonzero(np.pad(sources, padding))
    distances = np.empty(len(waiting))
    order = np.arange(len(waiting))
    for step, length in zip(offsets @ steps, lengths, strict=True):
        hit = around[waiting + step]
        distances[order[hit]] = length
        waiting, order = waiting[~hit], order[~hit]
        if not order.size:
            break
    ends = mask_sizes(sources).cumsum()
    if order.size:
        far = np.flatnonzero(sources)[order]
        pairs = far // sources[0].size
        for pair in np.unique(pairs):
            chosen = pairs == pair
            tree = KDTree(
                _points(np.flatnonzero(targets[pair]), targets.shape[1:], spacing),
                # neither pays off for the few queries of one tree
                compact_nodes=False,
                balanced_tree=False,
            )
            points = _points(far[chosen] % sources[0].size, sources.shape[1:], spacing)
            distances[order[chosen]] = tree.query(points)[0]
    return np.split(distances, ends[:-1])


def _points(
    voxels: NDArray[np.int64], shape: tuple[int, ...], spacing: tuple[float, ...]
) -> Floats:
    """Points (n, axes) in mm of voxels (n,) of an image, faster than `argwhere`."""
    points = np.stack(np.unravel_index(voxels, shape), axis=1).astype(np.float64)
    return np.asarray(points * spacing)


@lru_cache
def _neighbourhood(
    spacing: tuple[float, ...],
) -> tuple[NDArray[np.int64], Floats, tuple[int, ...]]:
    """Offsets (n, axes) within reach from near to far, their lengths in mm, and the reach in voxels
    along each axis."""
    reach = REACH * min(spacing)
    margin = tuple(int(reach / step) for step in spacing)
    grid = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in margin), indexing="ij"), axis=-1)
    offsets = grid.reshape(-1, len(spacing))
    lengths = np.sqrt(np.square(offsets * np.array(spacing)).sum(1))
    nearest_first = np.argsort(lengths, kind="stable")
    nearest_first = nearest_first[lengths[nearest_first] <= reach]
    return offsets[nearest_first], lengths[nearest_first], margin


def _percentile_95(distances: Floats) -> float:
    return float(np.percentile(distances, 95))
