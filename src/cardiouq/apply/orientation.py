"""Slices turned as those of the training scans, by what the affine says, and back again.

A network that learnt the heart in one position in the slice finds it worse, or not, in a mirrored
one. Slices lie along the third axis of a file (`check_axes`), so a scan is turned by reversing axes
and exchanging the first two: of the 16 positions it is brought to the one that is nearest to where
the training scans' axes pointed. So segmentations depend on where a voxel is in space, not on the
order in which a file stores it. Nor do pictures, which are turned to where people expect things.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Directions = NDArray[np.float64]
"""Where a file's axes point, a column of unit length for each: left to right, posterior to
anterior, foot to head (NIfTI's axes)."""

ALIGNED_TOLERANCE = 1e-3
"""Error of directions up to which they are the scanner's axes."""
STORED = np.diag([-1.0, -1.0, 1.0])
"""Usual directions of files that do not know where the patient lay, as all of ACDC."""
SHORT_AXIS = np.array([[-0.6, 0.5, 0.6], [-0.8, -0.2, -0.5], [-0.1, -0.8, 0.6]])
"""Usual directions, to 0.1, of short-axis slices as they are looked at: the right ventricle on the
left and the anterior wall on top, from apex to base."""


def directions_of(affine: NDArray[Any]) -> Directions:
    """Directions of the axes of a file's affine."""
    axes = np.asarray(affine, np.float64)[:3, :3]
    return np.asarray(axes / np.linalg.norm(axes, axis=0))


def mean_directions(affines: Iterable[NDArray[Any]]) -> Directions:
    """Mean of the directions of several files."""
    return np.asarray(np.mean([directions_of(affine) for affine in affines], axis=0))


def _is_aligned(directions: Directions) -> bool:
    """Whether each axis is one of the scanner's, as where a file does not know the patient's."""
    return bool(np.all(np.abs(np.abs(directions).max(axis=0) - 1) < ALIGNED_TOLERANCE))


@dataclass(frozen=True)
class Turn:
    """How a volume (slices, rows, columns) is turned.

    Attributes:
        exchanged: whether rows and columns change places, first.
        reversed_axes: which axes are reversed, then.
    """

    exchanged: bool
    reversed_axes: tuple[int, ...]

    @classmethod
    def towards(cls, reference: Directions, affine: NDArray[Any]) -> Self:
        """The turn that brings a file's axes next to the reference.

        Whether an affine is aligned with the scanner decides what it can be compared with: if only
        one of the two is, the usual directions of the file's kind are the reference.
        """
        own = directions_of(affine)
        if _is_aligned(own) != _is_aligned(reference):
            reference = STORED if _is_aligned(own) else SHORT_AXIS
        return cls._nearest(reference, own)

    @classmethod
    def upright(cls, affine: NDArray[Any]) -> Self:
        """The turn that shows a file's slices as a scanner does; their order stays.

        A heart's short axis is as in `SHORT_AXIS`; in axial slices the patient's right is on the
        left and anterior on top.
        """
        own = directions_of(affine)
        views = (STORED, SHORT_AXIS / np.linalg.norm(SHORT_AXIS, axis=0))
        turn = cls._nearest(max(views, key=lambda view: abs(view[:, 2] @ own[:, 2])), own)
        return cls(turn.exchanged, tuple(axis for axis in turn.reversed_axes if axis > 0))

    @classmethod
    def _nearest(cls, reference: Directions, own: Directions) -> Self:
        """The turn of all 16 that brings axes next to the reference."""
        nearness, best = -np.inf, cls(False, ())
        for exchanged, *signs in product((False, True), (1, -1), (1, -1), (1, -1)):
            axes = own[:, [1, 0, 2]] if exchanged else own
            if (found := float(np.sum(reference * axes * signs))) > nearness + 1e-9:
                flips = tuple(2 - axis for axis in (2, 1, 0) if signs[axis] < 0)
                nearness, best = found, cls(exchanged, flips)
        return best

    def turned(self, volume: NDArray[Any]) -> NDArray[Any]:
        """A volume (..., slices, rows, columns) as the training scans'."""
        turned = volume.swapaxes(-1, -2) if self.exchanged else volume
        return np.ascontiguousarray(np.flip(turned, self._axes(volume)))

    def back(self, volume: NDArray[Any]) -> NDArray[Any]:
        """A turned volume as it was."""
        flipped = np.flip(volume, self._axes(volume))
        return np.ascontiguousarray(flipped.swapaxes(-1, -2) if self.exchanged else flipped)

    def spacing(self, spacing: tuple[float, float, float]) -> tuple[float, float, float]:
        """The edges (z, y, x) of a turned volume's voxels."""
        z, y, x = spacing
        return (z, x, y) if self.exchanged else spacing

    def _axes(self, volume: NDArray[Any]) -> tuple[int, ...]:
        return tuple(axis + volume.ndim - 3 for axis in self.reversed_axes)
