"""Scans are turned as the training scans' were, whatever order a file stores its voxels in."""

from itertools import product

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import inv_ornt_aff
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cardiouq.apply.orientation import SHORT_AXIS, STORED, Turn, mean_directions

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = np.linalg.qr(SHORT_AXIS)[0] * [-1.5, -1.5, 8]
"""Affine of a scan along the heart's axis, of voxels of 1.5 x 1.5 x 8 mm."""
ALIGNED = np.diag([-1.5, -1.5, 8, 1.0])
STORAGES = [
    np.array([[axes[0], x], [axes[1], y], [2, z]])
    for axes in ((0, 1), (1, 0))
    for x, y, z in product((1, -1), repeat=3)
]
"""Orders in which a file may store slices along its third axis, as nibabel spells them."""


def stored(
    volume: NDArray[np.float64], affine: NDArray[np.float64], order: NDArray[np.int_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A volume (x, y, slices) and its affine, stored in another order."""
    turned = nib.orientations.apply_orientation(volume, order)
    return turned, affine @ inv_ornt_aff(order, volume.shape)


@pytest.mark.parametrize("affine", [ALIGNED, OBLIQUE])
@pytest.mark.parametrize("reference", [STORED, OBLIQUE[:3, :3] / [1.5, 1.5, 8]])
def test_order_of_storage_makes_no_difference(
    affine: NDArray[np.float64], reference: NDArray[np.float64]
) -> None:
    volume = np.random.default_rng(1).random((5, 6, 3))
    seen = []
    for order in STORAGES:
        array, of_array = stored(volume, affine, order)
        turn = Turn.towards(reference, of_array)
        turned = turn.turned(array.T)
        np.testing.assert_array_equal(turn.back(turned), array.T)
        seen.append(turned)
    for turned in seen[1:]:
        np.testing.assert_array_equal(turned, seen[0])


def test_scans_as_the_training_s_are_not_turned() -> None:
    for affine in (ALIGNED, OBLIQUE):
        assert Turn.towards(mean_directions([affine, affine]), affine) == Turn(False, ())


def test_what_is_stored_without_the_patient_s_position_is_as_acdc() -> None:
    assert Turn.towards(SHORT_AXIS, ALIGNED) == Turn(False, ())
    assert Turn.towards(SHORT_AXIS, np.diag([1.5, -1.5, 8, 1])) == Turn(False, (2,))


def test_spacing_goes_with_rows_and_columns() -> None:
    assert Turn(True, ()).spacing((8, 1, 2)) == (8, 2, 1)
    assert Turn(False, (1,)).spacing((8, 1, 2)) == (8, 1, 2)


def test_leading_axes_stay() -> None:
    volumes = np.random.default_rng(1).random((2, 3, 4, 5))
    turn = Turn(True, (0, 2))
    np.testing.assert_array_equal(
        turn.turned(volumes), np.stack([turn.turned(volume) for volume in volumes])
    )
    np.testing.assert_array_equal(turn.back(turn.turned(volumes)), volumes)


TILTED = np.diag([-1.5, -1.5, 8, 1.0])
TILTED[:3, :3] = Rotation.from_euler("xz", [15, 8], degrees=True).as_matrix() @ TILTED[:3, :3]
"""Affine of axial slices that are tilted somewhat."""


@pytest.mark.parametrize("affine", [ALIGNED, OBLIQUE, TILTED])
def test_pictures_are_the_same_in_every_order_of_storage_and_slices_keep_theirs(
    affine: NDArray[np.float64],
) -> None:
    volume = np.random.default_rng(1).random((5, 6, 3))
    upright = Turn.upright(affine).turned(volume.T)
    for order in STORAGES:
        array, of_array = stored(volume, affine, order)
        shown = Turn.upright(of_array).turned(array.T)
        np.testing.assert_array_equal(shown, upright[:: int(order[2, 1])])


@pytest.mark.parametrize("axes", [STORED, SHORT_AXIS, TILTED])
def test_slices_as_a_scanner_shows_them_are_not_turned(axes: NDArray[np.float64]) -> None:
    assert Turn.upright(axes) == Turn(False, ())
    assert Turn.upright(axes[:3, :3] * [1, -1, -1]) == Turn(False, (1,))
    assert Turn.upright(axes[:3, [1, 0, 2]] * [-1, 1, 1]) == Turn(True, (1,))
