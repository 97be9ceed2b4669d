"""Surface distances against two independent peers for each metric, and where peers differ.

Dice, ASSD and Hausdorff: medpy and MONAI. HD95 and surface Dice, which medpy defines otherwise or
has not: MONAI and all distances between border voxels by scipy.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from medpy.metric import binary as medpy
from monai.data import get_track_meta, set_track_meta
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.spatial.distance import cdist

from cardiouq.evaluation.empty_masks import diagonal_mm
from cardiouq.evaluation.overlap import dice
from cardiouq.evaluation.surface import SurfaceDistances, surface_distances
from tests.evaluation.masks import Masks, Spacing, disc

Shape = tuple[int, ...]

SLICE, VOLUME = (24, 20), (8, 12, 10)
GRIDS: list[tuple[Shape, Spacing]] = [
    (SLICE, (1.0, 1.0)),
    (SLICE, (1.4, 1.4)),
    (SLICE, (0.8, 2.5)),
    (VOLUME, (1.0, 1.0, 1.0)),
    (VOLUME, (10.0, 1.4, 1.4)),
    (VOLUME, (2.5, 0.7, 1.9)),
]
PAIRS_OF_A_KIND = 20
TOLERANCE_MM = 2.0

# MONAI calls itself in a way that it deprecates
pytestmark = pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges")


def nothing(shape: Shape, rng: np.random.Generator) -> Masks:
    return np.zeros(shape, bool)


def everything(shape: Shape, rng: np.random.Generator) -> Masks:
    return np.ones(shape, bool)


def voxel(shape: Shape, rng: np.random.Generator) -> Masks:
    mask = np.zeros(shape, bool)
    mask[tuple(rng.integers(shape))] = True
    return mask


def blob(shape: Shape, rng: np.random.Generator) -> Masks:
    """One or more smooth pieces, with holes now and then."""
    smooth = gaussian_filter(rng.normal(size=shape), rng.uniform(0.7, 2.5))
    return smooth > np.quantile(smooth, rng.uniform(0.4, 0.97))


def scattered(shape: Shape, rng: np.random.Generator) -> Masks:
    return (rng.random(shape) < 0.05) | voxel(shape, rng)


def at_the_border(shape: Shape, rng: np.random.Generator) -> Masks:
    """A box on a side of the image."""
    first = rng.integers(shape)
    last = rng.integers(first, shape)
    axis = rng.integers(len(shape))
    if rng.random() < 0.5:
        first[axis] = 0
    else:
        last[axis] = shape[axis] - 1
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))] = True
    return mask


def in_a_corner(shape: Shape, rng: np.random.Generator) -> Masks:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(rng.integers(1, n // 3 + 2)) for n in shape)] = True
    return mask


def of(
    one: Callable[[Shape, np.random.Generator], Masks],
    other: Callable[[Shape, np.random.Generator], Masks],
) -> Callable[[Shape, np.random.Generator], tuple[Masks, Masks]]:
    return lambda shape, rng: (one(shape, rng), other(shape, rng))


def far_apart(shape: Shape, rng: np.random.Generator) -> tuple[Masks, Masks]:
    return in_a_corner(shape, rng), np.flip(in_a_corner(shape, rng))


def identical(shape: Shape, rng: np.random.Generator) -> tuple[Masks, Masks]:
    return (mask := blob(shape, rng)), mask.copy()


def nested(shape: Shape, rng: np.random.Generator) -> tuple[Masks, Masks]:
    outer = blob(shape, rng)
    inner = binary_erosion(outer)
    return (inner if inner.any() else outer), outer


def shifted(shape: Shape, rng: np.random.Generator) -> tuple[Masks, Masks]:
    mask = blob(shape, rng)
    return np.roll(mask, rng.integers(-2, 3, len(shape)), tuple(range(len(shape)))), mask


KINDS = {
    "both empty": of(nothing, nothing),
    "no prediction": of(nothing, blob),
    "no reference": of(blob, nothing),
    "two voxels": of(voxel, voxel),
    "a voxel and a blob": of(voxel, blob),
    "the whole image and a blob": of(everything, blob),
    "at the border": of(at_the_border, at_the_border),
    "at the border and inside": of(at_the_border, blob),
    "far apart": far_apart,
    "identical": identical,
    "nested": nested,
    "shifted": shifted,
    "blobs": of(blob, blob),
    "scattered": of(scattered, blob),
}
EMPTY = ("both empty", "no prediction", "no reference")


@dataclass(frozen=True)
class Pairs:
    """Random pairs of masks of one shape and spacing."""

    kinds: NDArray[np.str_]
    predictions: Masks
    references: Masks
    spacing: Spacing

    def of_kind(self, *kinds: str, other: bool = False) -> "Pairs":
        """The pairs of the kinds, or all others."""
        return self.chosen(np.isin(self.kinds, kinds, invert=other))

    def chosen(self, chosen: Masks) -> "Pairs":
        return Pairs(
            self.kinds[chosen], self.predictions[chosen], self.references[chosen], self.spacing
        )

    @cached_property
    def found(self) -> SurfaceDistances:
        return surface_distances(self.predictions, self.references, self.spacing)

    def of_each(self, measure: Callable[..., Any], *arguments: object) -> list[Any]:
        """A measure of two masks, of each pair."""
        both = zip(self.predictions, self.references, strict=True)
        return [measure(prediction, reference, *arguments) for prediction, reference in both]

    def by_monai(self, measure: Callable[..., torch.Tensor], **settings: object) -> NDArray[Any]:
        one_hot = (torch.from_numpy(m[:, None]) for m in (self.predictions, self.references))
        return measure(*one_hot, include_background=True, **settings)[:, 0].numpy()


def make_pairs(shape: Shape, spacing: Spacing) -> Pairs:
    rng = np.random.default_rng([len(shape), int(10 * spacing[0])])
    made = [
        (kind, *make(shape, rng)) for kind, make in KINDS.items() for _ in range(PAIRS_OF_A_KIND)
    ]
    return Pairs(*(np.array(part) for part in zip(*made, strict=True)), spacing)


@pytest.fixture(scope="module", autouse=True)
def monai_in_half_the_time() -> Iterator[None]:
    """Spare MONAI the metadata that it otherwise carries along when it crops a mask."""
    before = get_track_meta()
    set_track_meta(False)
    yield
    set_track_meta(before)


@pytest.fixture(scope="module", params=GRIDS, ids=str)
def all_pairs(request: pytest.FixtureRequest) -> Pairs:
    return make_pairs(*request.param)


@pytest.fixture(scope="module")
def pairs(all_pairs: Pairs) -> Pairs:
    """Pairs of two masks that are not empty, on which definitions can agree."""
    pairs = all_pairs.of_kind(*EMPTY, other=True)
    return pairs.chosen(can_agree(pairs))


def can_agree(pairs: Pairs) -> Masks:
    """Which pairs are of slices, or have three neighbouring slices in both masks."""

    def is_deep(mask: Masks) -> bool:
        return mask.ndim == 2 or bool(binary_erosion(mask.any((1, 2)), np.ones(3)).any())

    deep = [[is_deep(mask) for mask in masks] for masks in (pairs.predictions, pairs.references)]
    return np.all(deep, axis=0)


def border_distances(
    prediction: Masks, reference: Masks, spacing: Spacing
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From each border voxel to the nearest of the other mask, by all pairs of voxels."""
    points = [
        np.argwhere(mask & ~binary_erosion(mask)) * spacing for mask in (prediction, reference)
    ]
    distances = cdist(*points)
    return distances.min(1), distances.min(0)


def test_more_than_a_thousand_pairs_are_compared_with_peers():
    compared = 0
    for shape, spacing in GRIDS:
        pairs = make_pairs(shape, spacing).of_kind(*EMPTY, other=True)
        compared += int(can_agree(pairs).sum())
    assert compared > 1000


# What peers agree on.


def test_dice_agrees_with_medpy_and_monai(pairs: Pairs):
    ours = dice(pairs.predictions, pairs.references)
    np.testing.assert_allclose(ours, pairs.of_each(medpy.dc), rtol=1e-12)
    np.testing.assert_allclose(ours, pairs.by_monai(compute_dice), rtol=1e-5)


def test_pooled_assd_agrees_with_medpy_and_monai(pairs: Pairs):
    ours = pairs.found.assd()
    np.testing.assert_allclose(ours, pairs.of_each(medpy.assd, pairs.spacing), rtol=1e-12)
    monai = pairs.by_monai(compute_average_surface_distance, symmetric=True, spacing=pairs.spacing)
    np.testing.assert_allclose(ours, monai, rtol=1e-5)


def test_hausdorff_agrees_with_medpy_and_monai(pairs: Pairs):
    ours = pairs.found.hausdorff()
    np.testing.assert_allclose(ours, pairs.of_each(medpy.hd, pairs.spacing), rtol=1e-12)
    monai = pairs.by_monai(compute_hausdorff_distance, spacing=pairs.spacing)
    np.testing.assert_allclose(ours, monai, rtol=1e-5)


def test_hd95_agrees_with_monai_and_all_border_voxels(pairs: Pairs):
    ours = pairs.found.hd95()
    monai = pairs.by_monai(compute_hausdorff_distance, percentile=95, spacing=pairs.spacing)
    np.testing.assert_allclose(ours, monai, rtol=1e-5)

    def brute(prediction: Masks, reference: Masks) -> float:
        directions = border_distances(prediction, reference, pairs.spacing)
        return max(float(np.percentile(distances, 95)) for distances in directions)

    np.testing.assert_allclose(ours, pairs.of_each(brute), rtol=1e-12)


def test_surface_dice_agrees_with_monai_and_all_border_voxels(pairs: Pairs):
    ours = pairs.found.surface_dice(TOLERANCE_MM)
    monai = pairs.by_monai(
        compute_surface_dice, class_thresholds=[TOLERANCE_MM], spacing=pairs.spacing
    )
    np.testing.assert_allclose(ours, monai, rtol=1e-5)

    def brute(prediction: Masks, reference: Masks) -> float:
        distances = np.concatenate(border_distances(prediction, reference, pairs.spacing))
        return float((distances <= TOLERANCE_MM).mean())

    np.testing.assert_allclose(ours, pairs.of_each(brute), rtol=1e-12)


def test_every_distance_agrees_with_all_border_voxels(pairs: Pairs):
    for index, (there, back) in enumerate(pairs.of_each(border_distances, pairs.spacing)):
        np.testing.assert_allclose(pairs.found.to_reference[index], there, rtol=1e-12)
        np.testing.assert_allclose(pairs.found.to_prediction[index], back, rtol=1e-12)


# Where peers differ, and how.


def test_medpy_takes_the_percentile_of_both_directions_together(pairs: Pairs):
    found = pairs.found
    together = [
        np.percentile(np.concatenate(both), 95)
        for both in zip(found.to_reference, found.to_prediction, strict=True)
    ]
    medpys = pairs.of_each(medpy.hd95, pairs.spacing)
    np.testing.assert_allclose(medpys, together, rtol=1e-12)
    assert (found.hd95() > np.array(medpys) * 1.01).mean() > 0.1


def test_ours_are_perfect_for_two_empty_masks_and_worst_for_one(all_pairs: Pairs):
    diagonal = diagonal_mm(all_pairs.predictions.shape[1:], all_pairs.spacing)
    neither = all_pairs.of_kind("both empty")
    one = all_pairs.of_kind("no prediction", "no reference")
    for pairs, distance, overlap in ((neither, 0, 1), (one, diagonal, 0)):
        assert set(pairs.found.assd()) == {distance}
        assert set(pairs.found.assd(pooled=False)) == {distance}
        assert set(pairs.found.hausdorff()) == {distance}
        assert set(pairs.found.hd95()) == {distance}
        assert set(pairs.found.surface_dice(TOLERANCE_MM)) == {overlap}
        assert set(dice(pairs.predictions, pairs.references)) == {overlap}


@pytest.mark.filterwarnings("ignore:the (ground truth|prediction) of class")
def test_monai_gives_nan_or_infinity_for_empty_masks(all_pairs: Pairs):
    neither = all_pairs.of_kind("both empty")
    missed, invented = all_pairs.of_kind("no prediction"), all_pairs.of_kind("no reference")
    distance = {"spacing": all_pairs.spacing}
    for pairs in (neither, missed, invented):
        assd = pairs.by_monai(compute_average_surface_distance, symmetric=True, **distance)
        assert not np.isfinite(assd).any()
        assert not np.isfinite(pairs.by_monai(compute_hausdorff_distance, **distance)).any()
        hd95 = pairs.by_monai(compute_hausdorff_distance, percentile=95, **distance)
        assert not np.isfinite(hd95).any()
    # overlaps of a missed structure are 0 as ours, else NaN
    thresholds = {"class_thresholds": [TOLERANCE_MM], **distance}
    assert (missed.by_monai(compute_dice) == 0).all()
    assert np.isnan(invented.by_monai(compute_dice)).all()
    assert np.isnan(neither.by_monai(compute_dice)).all()
    assert (missed.by_monai(compute_surface_dice, **thresholds) == 0).all()
    assert np.isnan(neither.by_monai(compute_surface_dice, **thresholds)).all()


@pytest.mark.filterwarnings("ignore:invalid value encountered in scalar divide")
def test_medpy_raises_on_an_empty_mask_and_gives_nan_for_the_dice_of_two(all_pairs: Pairs):
    assert np.isnan(all_pairs.of_kind("both empty").of_each(medpy.dc)).all()
    pairs = all_pairs.of_kind(*EMPTY)
    for prediction, reference in zip(pairs.predictions, pairs.references, strict=True):
        for measure in (medpy.assd, medpy.hd, medpy.hd95):
            with pytest.raises(RuntimeError, match="does not contain any binary object"):
                measure(prediction, reference, pairs.spacing)


def test_a_slice_given_as_a_volume_of_one_slice_is_all_surface_to_peers():
    prediction, reference, spacing = disc(20, 8), disc(20, 5), (1.4, 1.4)
    as_slice = surface_distances(prediction[None], reference[None], spacing)
    pair = Pairs(
        np.array(["disc"]), prediction[None, None], reference[None, None], (10.0, *spacing)
    )
    assert pair.found.assd() == as_slice.assd()
    medpys = medpy.assd(prediction[None], reference[None], pair.spacing)
    assert medpys < 0.6 * as_slice.assd()
    monai = pair.by_monai(compute_average_surface_distance, symmetric=True, spacing=pair.spacing)
    assert medpys == pytest.approx(monai[0], rel=1e-5)


def test_simpleitk_takes_the_hausdorff_distance_to_the_whole_mask_not_to_its_surface():
    reference = disc(21, 8)
    prediction = reference.copy()
    prediction[10, 10] = False  # a hole, far from the reference's surface
    images = [SimpleITK.GetImageFromArray(m.astype(np.uint8)) for m in (prediction, reference)]
    simpleitk = SimpleITK.HausdorffDistanceImageFilter()
    simpleitk.Execute(*images)
    assert simpleitk.GetHausdorffDistance() == 1
    ours = surface_distances(prediction[None], reference[None], (1.0, 1.0)).hausdorff()
    assert ours == medpy.hd(prediction, reference) > 6


# What holds of our own.


def test_many_pairs_at_once_score_as_one_by_one(all_pairs: Pairs):
    for index in range(len(all_pairs.kinds)):
        only = slice(index, index + 1)
        alone = surface_distances(
            all_pairs.predictions[only], all_pairs.references[only], all_pairs.spacing
        )
        together = all_pairs.found
        np.testing.assert_allclose(alone.to_reference[0], together.to_reference[index])
        np.testing.assert_allclose(alone.to_prediction[0], together.to_prediction[index])
        assert alone.sizes[:, 0].tolist() == together.sizes[:, index].tolist()
        assert alone.worst == together.worst


@pytest.mark.parametrize("empty", [False, True])
def test_one_reference_for_many_predictions_is_as_good_as_repeating_it(
    all_pairs: Pairs, empty: bool
):
    predictions, spacing = all_pairs.predictions, all_pairs.spacing
    reference = all_pairs.of_kind("both empty" if empty else "blobs").references[:1]
    one = surface_distances(predictions, reference, spacing)
    repeated = surface_distances(
        predictions, np.repeat(reference, len(predictions), axis=0), spacing
    )
    np.testing.assert_array_equal(one.sizes, repeated.sizes)
    for measure in ("assd", "hausdorff", "hd95"):
        np.testing.assert_array_equal(getattr(one, measure)(), getattr(repeated, measure)())


def test_fewer_references_are_taken_in_turn(all_pairs: Pairs):
    references = all_pairs.references[::7][:3]  # none, one or both of a pair may be empty
    predictions = all_pairs.predictions[: len(all_pairs.predictions) // 3 * 3]
    in_turn = surface_distances(predictions, references, all_pairs.spacing)
    tiled = np.tile(references, (len(predictions) // 3, *[1] * (references.ndim - 1)))
    repeated = surface_distances(predictions, tiled, all_pairs.spacing)
    np.testing.assert_array_equal(in_turn.sizes, repeated.sizes)
    for directed in ("to_reference", "to_prediction"):
        for one, other in zip(getattr(in_turn, directed), getattr(repeated, directed), strict=True):
            np.testing.assert_array_equal(one, other)


def test_masks_may_lie_in_memory_in_any_order(all_pairs: Pairs):
    as_read = [np.asfortranarray(m) for m in (all_pairs.predictions, all_pairs.references)]
    turned = surface_distances(*as_read, all_pairs.spacing)
    for measure in ("assd", "hausdorff", "hd95"):
        np.testing.assert_array_equal(
            getattr(turned, measure)(), getattr(all_pairs.found, measure)()
        )


def test_prediction_and_reference_may_change_places(all_pairs: Pairs):
    found = all_pairs.found
    turned = surface_distances(all_pairs.references, all_pairs.predictions, all_pairs.spacing)
    for measure in ("assd", "hausdorff", "hd95"):
        np.testing.assert_allclose(getattr(found, measure)(), getattr(turned, measure)())
    np.testing.assert_allclose(found.assd(pooled=False), turned.assd(pooled=False))
    np.testing.assert_array_equal(
        found.surface_dice(TOLERANCE_MM), turned.surface_dice(TOLERANCE_MM)
    )


def test_empty_space_around_the_masks_changes_nothing_but_the_worst_distance(all_pairs: Pairs):
    found = all_pairs.found
    spatial = all_pairs.predictions.shape[1:]
    larger = [
        np.pad(masks, [(0, 0), *([(3, 2)] * len(spatial))])
        for masks in (all_pairs.predictions, all_pairs.references)
    ]
    in_larger = surface_distances(*larger, all_pairs.spacing)
    both = found.sizes.all(0)
    for measure in ("assd", "hausdorff", "hd95"):
        np.testing.assert_allclose(
            getattr(in_larger, measure)()[both], getattr(found, measure)()[both]
        )
    assert in_larger.worst == diagonal_mm([n + 5 for n in spatial], all_pairs.spacing) > found.worst
    as_cut_out = surface_distances(*larger, all_pairs.spacing, image_shape=spatial)
    assert as_cut_out.worst == found.worst
