"""Surface distances of masks made by hand: what is a mean of what, and what counts as near."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, distance_transform_edt

from cardiouq.evaluation.surface import REACH, surface_distances
from tests.evaluation.masks import Spacing, disc


def test_assd_not_pooled_is_the_mean_of_the_directed_means():
    prediction, reference = np.zeros((2, 1, 3, 3), bool)
    prediction[0, 1], reference[0, 1, 0] = True, True  # a row of three voxels and its first
    found = surface_distances(prediction, reference, (1.0, 2.0))
    assert found.to_reference[0].tolist() == [0, 2, 4]
    assert found.to_prediction[0].tolist() == [0]
    assert found.assd().tolist() == [6 / 4]
    assert found.assd(pooled=False).tolist() == [(2 + 0) / 2]


def test_a_distance_equal_to_the_tolerance_lies_within_it():
    one, other = np.zeros((2, 1, 1, 4), bool)
    one[..., 0], other[..., 3] = True, True
    found = surface_distances(one, other, (1.0, 1.0))
    assert found.surface_dice(3.0) == 1
    assert found.surface_dice(2.99) == 0


@pytest.mark.parametrize(("spacing", "steps"), [((0.4, 0.4), (0, 5)), ((1.2, 1.6), (1, 1))])
def test_so_it_does_by_the_spacings_of_a_header(spacing: Spacing, steps: tuple[int, int]):
    one, other = np.zeros((2, 1, 6, 6), bool)
    one[0, 0, 0], other[(0, *steps)] = True, True
    of_header = tuple(float(np.float32(step)) for step in spacing)
    found = surface_distances(one, other, of_header)
    assert found.hausdorff()[0] > 2  # as 0.4 and 1.6 are none in float32, but a hair more
    assert found.surface_dice(2.0) == 1
    assert found.surface_dice(1.99) == 0


@pytest.mark.parametrize("steps", range(1, 2 * REACH + 1))
@pytest.mark.parametrize("spacing", [(1.4, 1.4), (0.8, 2.5), (10.0, 1.4, 1.4), (1.4, 1.4, 10.0)])
def test_voxels_on_both_sides_of_the_reach_have_their_distance(steps: int, spacing: Spacing):
    for axis, step in enumerate(spacing):
        one, other = np.zeros((2, 1, *(2 * REACH + 1,) * len(spacing)), bool)
        one[(0, *[0] * len(spacing))] = True
        other[(0, *[steps if a == axis else 0 for a in range(len(spacing))])] = True
        assert surface_distances(one, other, spacing).hausdorff() == pytest.approx(steps * step)


@pytest.mark.parametrize("spacing", [(1.4, 1.4), (0.8, 2.5)])
def test_distances_beyond_the_reach_are_those_of_a_distance_transform(spacing: Spacing):
    reference = np.stack([disc(64, 10), disc(64, 3), disc(64, 12)])
    prediction = np.roll(reference, (2, 1), (1, 2))
    prediction[0, :4, :4] = True  # most voxels near, some far
    prediction[1] = np.roll(reference[1], 25, 0)  # all far
    found = surface_distances(prediction, reference, spacing)  # in the last pair all near
    assert [(d > REACH * min(spacing)).mean() for d in found.to_reference] == [
        pytest.approx(0.15, abs=0.1),
        1,
        0,
    ]
    for index, (one, other) in enumerate(zip(prediction, reference, strict=True)):
        border, target = (mask & ~binary_erosion(mask) for mask in (one, other))
        expected = distance_transform_edt(~target, sampling=spacing)[border]
        np.testing.assert_allclose(found.to_reference[index], expected, rtol=1e-12)


def test_no_pairs_at_all_have_no_scores():
    none = np.zeros((0, 4, 4), bool)
    assert surface_distances(none, none, (1.0, 1.0)).assd().shape == (0,)
