"""Aggregations of maps of uncertainty, each against a map made by hand."""

from typing import Any

import numpy as np
import pytest

from cardiouq.evaluation.aggregation import BOUNDARY, PATCH, aggregate, near_boundary, patch_maxima

SHAPE = (2, 20, 20)
EVERYWHERE = np.ones(SHAPE, bool)


def square(*corners: tuple[int, int], side: int = 8) -> np.ndarray:
    """A structure in the first slice, the second is background."""
    labels = np.zeros(SHAPE, np.uint8)
    for row, column in corners:
        labels[0, row : row + side, column : column + side] = 2
    return labels


def uncertain(*parts: tuple[Any, float]) -> np.ndarray:
    """A map that is 0 but for some parts."""
    entropy = np.zeros(SHAPE, np.float32)
    for where, value in parts:
        entropy[where] = value
    return entropy


def of_volume(
    entropy: np.ndarray, labels: np.ndarray, annotated: np.ndarray = EVERYWHERE
) -> dict[str, float]:
    found, _ = aggregate(entropy, labels, annotated)
    return {name: value.item() for name, value in found.items()}


def test_a_boundary_is_four_voxels_wide() -> None:
    """Two to either side of the square's edges, by steps along rows and columns."""
    assert BOUNDARY == 4
    near = near_boundary(square((6, 6)), EVERYWHERE)
    rows, columns = np.ogrid[:20, :20]
    outside = np.maximum(abs(2 * rows - 19) - 7, 0) + np.maximum(abs(2 * columns - 19) - 7, 0)
    expected = np.zeros(SHAPE, bool)
    expected[0] = outside // 2 <= 2
    expected[0, 8:12, 8:12] = False
    np.testing.assert_array_equal(near, expected)


def test_a_boundary_runs_between_two_structures_too() -> None:
    labels = np.ones(SHAPE, np.uint8)
    labels[:, 10:] = 2
    near = near_boundary(labels, EVERYWHERE)
    assert np.unique(np.nonzero(near)[1]).tolist() == [8, 9, 10, 11]


def test_nothing_bounds_on_what_nobody_annotated() -> None:
    known = EVERYWHERE.copy()
    known[:, 10:] = False
    labels = np.ones(SHAPE, np.uint8) * known
    assert not near_boundary(labels, known).any()


def test_mean_without_the_boundary_leaves_out_what_is_uncertain_there() -> None:
    labels = square((6, 6))
    at_boundary = ((0, 6, slice(6, 14)), 1.0)
    inside = ((0, slice(8, 12), slice(8, 12)), 0.5)
    found = of_volume(uncertain(at_boundary, inside), labels)
    near = 12 * 12 - 4 * 4 - 12  # of the corners, three voxels each are farther away
    assert found["entropy_without_boundary_bits"] == pytest.approx(16 * 0.5 / (800 - near))
    assert found["entropy_at_boundary_percent"] == pytest.approx(100 * 8 / (8 + 8))


def test_mean_of_the_foreground() -> None:
    outside = ((1, slice(None), slice(None)), 1.0)
    inside = ((0, slice(8, 12), slice(8, 12)), 0.5)
    found = of_volume(uncertain(outside, inside), square((6, 6)))
    assert found["entropy_foreground_bits"] == pytest.approx(16 * 0.5 / 64)
    assert found["foreground_percent"] == pytest.approx(100 * 64 / 800)


def test_without_a_voxel_of_its_kind_a_mean_is_over_all() -> None:
    entropy = uncertain(((0, 3, 3), 0.8))
    nothing = np.zeros(SHAPE, np.uint8)
    assert of_volume(entropy, nothing)["entropy_foreground_bits"] == pytest.approx(0.8 / 800)
    stripes = nothing + np.arange(20, dtype=np.uint8) % 2
    assert of_volume(entropy, stripes)["entropy_without_boundary_bits"] == pytest.approx(0.8 / 800)


def test_without_uncertainty_none_is_at_the_boundary() -> None:
    assert of_volume(uncertain(), square((6, 6)))["entropy_at_boundary_percent"] == 0


def test_patch_with_the_largest_mean() -> None:
    """A spot of 36 voxels fits into a patch of 100, a lone brighter voxel far away does not win."""
    assert PATCH == 10
    entropy = uncertain(((0, slice(2, 8), slice(3, 9)), 0.5), ((1, 19, 19), 1.0))
    np.testing.assert_allclose(patch_maxima(entropy), [36 * 0.5 / 100, 1 / 100])
    found = of_volume(entropy, square((6, 6)))
    assert found["entropy_patch_bits"] == pytest.approx(0.18)


@pytest.mark.parametrize("shape", [(3, 25, 17), (1, 10, 10), (2, 11, 30), (2, 6, 14)])
def test_patches_are_all_that_lie_within_the_image(shape: tuple[int, ...]) -> None:
    entropy = np.random.default_rng(0).random(shape)
    size = np.minimum(PATCH, shape[1:])
    windows = np.lib.stride_tricks.sliding_window_view(entropy, size, (1, 2))
    np.testing.assert_allclose(patch_maxima(entropy), windows.mean((3, 4)).max((1, 2)))


def test_components_are_counted_in_each_slice() -> None:
    labels = square((0, 0), (10, 10))
    labels[1, 5, 5] = 1
    _, found = aggregate(uncertain(), labels, EVERYWHERE)
    assert found["components"].tolist() == [2, 1]
    assert of_volume(uncertain(), labels)["components"] == 3


def test_slices_of_a_volume_are_volumes_of_one_slice() -> None:
    entropy = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    labels = square((6, 6), (0, 12), side=5)
    _, found = aggregate(entropy, labels, EVERYWHERE)
    for index in range(len(entropy)):
        one = slice(index, index + 1)
        for name, value in of_volume(entropy[one], labels[one], EVERYWHERE[one]).items():
            assert found[name][index] == pytest.approx(value), name
