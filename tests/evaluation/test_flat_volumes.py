"""Surface distances of volumes and structures that are one or two slices thick.

Their oracles are libraries on the slices themselves, and where a structure lies in several slices
all distances between contour voxels by scipy.
"""

import numpy as np
import pytest
import SimpleITK
import torch
from medpy.metric import binary as medpy
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.spatial.distance import cdist

from cardiouq.evaluation.surface import SurfaceDistances, surface_distances
from tests.evaluation.masks import Masks, disc

GRIDS = [
    ((24, 20), (10.0, 1.4, 1.4)),
    ((17, 31), (8.0, 0.8, 2.5)),
    ((40, 40), (0.5, 1.0, 1.0)),  # slices closer than pixels, as a stale header has them
    ((9, 12), (25.0, 1.5625, 1.5625)),
]
TOLERANCE_MM = 2.0

# MONAI calls itself in a way that it deprecates
pytestmark = pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges")


def blobs(n: int, shape: tuple[int, ...], seed: int) -> Masks:
    """Masks (n, rows, columns) of one or more smooth pieces, none empty."""
    rng = np.random.default_rng(seed)
    smooth = [gaussian_filter(rng.normal(size=shape), rng.uniform(1, 2.5)) for _ in range(n)]
    return np.array([image > np.quantile(image, rng.uniform(0.5, 0.9)) for image in smooth])


def in_stack(masks: Masks, first: int, slices: int = 8) -> Masks:
    """Volumes (n, slices, rows, columns) with masks (n, slices of the mask, rows, columns)."""
    volumes = np.zeros((len(masks), slices, *masks.shape[2:]), bool)
    volumes[:, first : first + masks.shape[1]] = masks
    return volumes


def numbers(found: SurfaceDistances) -> dict[str, NDArray[np.float64]]:
    return {
        "ASSD": found.assd(),
        "ASSD, not pooled": found.assd(pooled=False),
        "HD": found.hausdorff(),
        "HD95": found.hd95(),
        "surface Dice": found.surface_dice(TOLERANCE_MM),
    }


def assert_same(one: SurfaceDistances, other: SurfaceDistances) -> None:
    for name, values in numbers(one).items():
        np.testing.assert_allclose(values, numbers(other)[name], rtol=1e-12, err_msg=name)


def between_contours(
    prediction: Masks, reference: Masks, spacing: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of two volumes (slices, rows, columns) by all pairs of contour voxels."""
    contours = [
        np.argwhere([one & ~binary_erosion(one) for one in mask]) * spacing
        for mask in (prediction, reference)
    ]
    distances = cdist(*contours)
    return distances.min(1), distances.min(0)


def assert_between_contours(
    found: SurfaceDistances, predictions: Masks, references: Masks, spacing: tuple[float, ...]
) -> None:
    for index, pair in enumerate(zip(predictions, references, strict=True)):
        there, back = between_contours(*pair, spacing)
        np.testing.assert_allclose(found.to_reference[index], there, rtol=1e-12)
        np.testing.assert_allclose(found.to_prediction[index], back, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("shape", "spacing"), GRIDS, ids=str)
def test_a_volume_of_one_slice_has_the_distances_of_its_slice_as_libraries_have_them(
    shape: tuple[int, int], spacing: tuple[float, ...], seed: int
):
    predictions, references = blobs(8, shape, 10 * seed), blobs(8, shape, 10 * seed + 1)
    found = surface_distances(predictions[:, None], references[:, None], spacing)
    in_slice = spacing[1:]

    pairs = list(zip(predictions, references, strict=True))
    np.testing.assert_allclose(found.assd(), [medpy.assd(*p, in_slice) for p in pairs])
    np.testing.assert_allclose(found.hausdorff(), [medpy.hd(*p, in_slice) for p in pairs])

    one_hot = [torch.from_numpy(masks[:, None]) for masks in (predictions, references)]
    monai = {"include_background": True, "spacing": in_slice}
    for ours, theirs in (
        (found.assd(), compute_average_surface_distance(*one_hot, symmetric=True, **monai)),
        (found.hausdorff(), compute_hausdorff_distance(*one_hot, **monai)),
        (found.hd95(), compute_hausdorff_distance(*one_hot, percentile=95, **monai)),
        (
            found.surface_dice(TOLERANCE_MM),
            compute_surface_dice(*one_hot, class_thresholds=[TOLERANCE_MM], **monai),
        ),
    ):
        np.testing.assert_allclose(ours, theirs[:, 0].numpy(), rtol=1e-5)
    assert_same(found, surface_distances(predictions, references, in_slice))


def test_a_short_axis_slice_is_as_far_off_as_its_contour_not_as_its_area():
    """All voxels of both discs, most of which agree, are surface to medpy."""
    prediction, reference, spacing = disc(40, 14), disc(40, 8), (8.0, 1.4, 1.4)
    found = surface_distances(prediction[None, None], reference[None, None], spacing)
    of_area = medpy.assd(prediction[None], reference[None], spacing)
    contours = [
        SimpleITK.LabelContour(SimpleITK.GetImageFromArray(mask.astype(np.uint8)))
        for mask in (prediction, reference)
    ]
    points = [np.argwhere(SimpleITK.GetArrayFromImage(c)) * spacing[1:] for c in contours]
    distances = cdist(*points)
    of_contour = np.concatenate([distances.min(1), distances.min(0)]).mean()
    assert found.assd() == pytest.approx(of_contour)
    assert found.assd() == pytest.approx(1.4 * (14 - 8), rel=0.1)
    assert of_area < 0.5 * of_contour


@pytest.mark.parametrize("first", [0, 3, 7])
@pytest.mark.parametrize(("shape", "spacing"), GRIDS, ids=str)
def test_a_structure_of_one_slice_in_a_stack_has_the_distances_of_that_slice(
    shape: tuple[int, int], spacing: tuple[float, ...], first: int
):
    predictions, references = blobs(8, shape, 5), blobs(8, shape, 6)
    volumes = (in_stack(masks[:, None], first) for masks in (predictions, references))
    found = surface_distances(*volumes, spacing)
    assert_same(found, surface_distances(predictions, references, spacing[1:]))


@pytest.mark.parametrize(("shape", "spacing"), GRIDS, ids=str)
def test_structures_in_different_slices_are_apart_through_the_plane_too(
    shape: tuple[int, int], spacing: tuple[float, ...]
):
    same = blobs(8, shape, 7)
    found = surface_distances(in_stack(same[:, None], 1), in_stack(same[:, None], 4), spacing)
    np.testing.assert_allclose(found.assd(), 3 * spacing[0])
    other = blobs(8, shape, 8)
    volumes = in_stack(same[:, None], 2), in_stack(other[:, None], 3)
    assert_between_contours(surface_distances(*volumes, spacing), *volumes, spacing)


@pytest.mark.parametrize(("shape", "spacing"), GRIDS, ids=str)
def test_the_surface_of_a_stack_of_two_slices_is_its_contours(
    shape: tuple[int, int], spacing: tuple[float, ...]
):
    predictions, references = (blobs(16, shape, seed).reshape(8, 2, *shape) for seed in (9, 10))
    found = surface_distances(predictions, references, spacing)
    assert_between_contours(found, predictions, references, spacing)
    inside = predictions.sum((1, 2, 3)) - [len(d) for d in found.to_reference]
    assert (inside > 0).all()


def test_slices_that_no_three_of_are_neighbours_are_contours_however_many_there_are():
    predictions = in_stack(blobs(8, (24, 20), 11)[None], 0)
    predictions[:, [2, 5]] = False  # 0 and 1, 3 and 4, 6 and 7
    references = in_stack(blobs(8, (24, 20), 12)[None], 0)
    spacing = (8.0, 1.4, 1.4)
    found = surface_distances(predictions, references, spacing)
    assert_between_contours(found, predictions, references, spacing)


@pytest.mark.parametrize("thickness", [1, 2])
def test_a_thin_prediction_is_held_to_the_contours_of_a_thick_reference(thickness: int):
    spacing = (10.0, 1.4, 1.4)
    thin = in_stack(blobs(4 * thickness, (24, 20), 13).reshape(4, thickness, 24, 20), 3)
    thick = in_stack(blobs(4 * 6, (24, 20), 14).reshape(4, 6, 24, 20), 1)
    for pair in ((thin, thick), (thick, thin)):
        assert_between_contours(surface_distances(*pair, spacing), *pair, spacing)


def test_three_slices_have_the_surface_of_peers():
    spacing = (10.0, 1.4, 1.4)
    predictions, references = (blobs(24, (24, 20), seed).reshape(8, 3, 24, 20) for seed in (15, 16))
    found = surface_distances(in_stack(predictions, 2), in_stack(references, 4), spacing)
    pairs = zip(in_stack(predictions, 2), in_stack(references, 4), strict=True)
    np.testing.assert_allclose(found.assd(), [medpy.assd(*pair, spacing) for pair in pairs])


def mixed() -> tuple[Masks, Masks]:
    """Thin and thick masks, and empty ones, in one batch; each kind against each."""
    shape = (24, 20)
    kinds = [
        np.zeros((1, 8, *shape), bool),
        in_stack(blobs(1, shape, 17)[None], 3),
        in_stack(blobs(2, shape, 18)[None], 4),
        in_stack(blobs(3, shape, 19)[None], 2),
        in_stack(blobs(8, shape, 20)[None], 0),
    ]
    masks = np.concatenate(kinds)
    return np.repeat(masks, 5, axis=0), np.tile(masks, (5, 1, 1, 1))


def test_a_batch_of_thin_and_thick_structures_scores_as_one_by_one():
    predictions, references = mixed()
    spacing = (10.0, 1.4, 1.4)
    together = numbers(surface_distances(predictions, references, spacing))
    alone = [
        numbers(surface_distances(p[None], r[None], spacing))
        for p, r in zip(predictions, references, strict=True)
    ]
    for name, values in together.items():
        np.testing.assert_array_equal(values, [one[name][0] for one in alone], err_msg=name)


def test_a_reference_may_be_taken_by_thin_and_by_thick_predictions():
    predictions, references = mixed()
    spacing = (10.0, 1.4, 1.4)
    in_turn = surface_distances(predictions, references[:5], spacing)
    assert_same(in_turn, surface_distances(predictions, references, spacing))


def test_thin_and_thick_structures_may_change_places():
    predictions, references = mixed()
    spacing = (10.0, 1.4, 1.4)
    assert_same(
        surface_distances(predictions, references, spacing),
        surface_distances(references, predictions, spacing),
    )


def test_an_empty_mask_in_a_volume_of_one_slice_is_the_slices_diagonal_away():
    found = surface_distances(
        np.zeros((1, 1, 30, 41), bool), blobs(1, (30, 41), 21)[:, None], (8.0, 1.0, 1.0)
    )
    assert found.assd() == found.hausdorff() == pytest.approx(np.hypot(29, 40))
