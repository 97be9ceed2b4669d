"""Where patches come to lie, how their intensities change, and how often."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, norm
from torch import Tensor
from torch.nn import functional

from cardiouq.recipes import augmentation as module
from cardiouq.recipes.augmentation import Augmentation, Location, Move, cut_patch, moved
from cardiouq.structures import IGNORED
from cardiouq.study.schema import filled_in

PATCH = (32, 24)
WINDOW = 104
"""Side of a square that holds the patch under every move of these tests."""
STILL = Move(angle=0.0, zoom=1.0, shift=(0.0, 0.0), mirrored=(False, False))
FALSE_ALARM = 1e-6
"""Probability that right decisions exceed the bounds of one test."""


def augmentation(**changes: Any) -> Augmentation:
    """nnU-Net's ranges, or others."""
    nnunet = {"rotation_degrees": 180.0, "scale": (0.7, 1.4), "mirror": True}
    return Augmentation(**filled_in(nnunet | changes, "recipes", "any", "augmentation"))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_location(rng: np.random.Generator, *, labels: Sequence[int] = (0, 1, 2, 3)) -> Location:
    """Noise of a random shape with random labels, and a centre anywhere in it."""
    rows, columns = (int(extent) for extent in rng.integers(40, 90, 2))
    image = torch.from_numpy(rng.normal(size=(rows, columns)).astype(np.float32))
    drawn = torch.from_numpy(rng.choice(np.array(labels, np.uint8), (rows, columns)))
    return Location(image, drawn, [int(rng.integers(extent)) for extent in (rows, columns)])


def make_move(rng: np.random.Generator) -> Move:
    return Move(
        angle=rng.uniform(-math.pi, math.pi),
        zoom=rng.uniform(0.7, 1.4),
        shift=rng.uniform(-5, 5, 2).tolist(),
        mirrored=(rng.random(2) < 0.5).tolist(),
    )


def cut_by_padding(part: Tensor, centre: Sequence[int], size: Sequence[int]) -> Tensor:
    """What lies around a centre of a slice, with a rim of zeros that reaches far enough."""
    top, left = (128 + c - n // 2 for c, n in zip(centre, size, strict=True))
    return functional.pad(part, [128] * 4)[top : top + size[0], left : left + size[1]]


def moved_by_window(location: Location, move: Move) -> tuple[Tensor, Tensor]:
    """A window around the centre is cut out, moved within itself and mirrored after."""
    cos, sin = move.zoom * math.cos(move.angle), move.zoom * math.sin(move.angle)
    rows, columns = (size / WINDOW for size in PATCH)
    down, right = (2 * shift / WINDOW for shift in move.shift)
    affine = torch.tensor([[cos * columns, -sin * rows, right], [sin * columns, cos * rows, down]])
    grid = functional.affine_grid(affine[None], [1, 1, *PATCH], align_corners=False)
    axes = [axis for axis in (0, 1) if move.mirrored[axis]]
    parts = []
    for part, mode in ((location.image, "bilinear"), (location.labels.float(), "nearest")):
        window = cut_by_padding(part, location.centre, (WINDOW, WINDOW))[None, None]
        placed = functional.grid_sample(window, grid, mode=mode, align_corners=False)[0, 0]
        parts.append(placed.flip(axes))
    return parts[0], parts[1].to(torch.uint8)


@pytest.mark.parametrize("labels", [(0, 1, 2, 3), (0, 2, IGNORED), (IGNORED, 1)])
@pytest.mark.parametrize("seed", range(5))
def test_moved_patches_are_those_of_a_window_that_is_moved(
    seed: int, labels: Sequence[int]
) -> None:
    rng = np.random.default_rng(seed)
    locations = [make_location(rng, labels=labels) for _ in range(20)]
    moves = [make_move(rng) for _ in locations]
    found = zip(*moved(locations, moves, PATCH), strict=True)
    expected = map(moved_by_window, locations, moves)
    for (image, label), (its_image, its_label) in zip(found, expected, strict=True):
        torch.testing.assert_close(image, its_image, atol=1e-4, rtol=0)
        assert torch.equal(label, its_label)
        assert label.dtype == torch.uint8


@settings(deadline=None)
@given(
    centre=st.tuples(st.integers(0, 9), st.integers(0, 11)),
    size=st.tuples(st.integers(1, 16), st.integers(1, 16)),
    mirrored=st.tuples(st.booleans(), st.booleans()),
)
def test_patch_that_is_not_moved_is_the_slice_around_its_centre_bit_for_bit(
    centre: tuple[int, int], size: tuple[int, int], mirrored: tuple[bool, bool]
) -> None:
    values = torch.arange(1, 121).view(10, 12)
    location = Location(values / 7, values.to(torch.uint8), centre)
    expected = [cut_by_padding(part, centre, size) for part in location[:2]]
    axes = [axis for axis in (0, 1) if mirrored[axis]]
    [image], [label] = moved([location], [STILL._replace(mirrored=mirrored)], size)
    cut = cut_patch(location, size)
    assert torch.equal(image, expected[0].flip(axes))
    assert torch.equal(label, expected[1].flip(axes))
    assert all(torch.equal(found, part) for found, part in zip(cut, expected, strict=True))
    assert [part.dtype for part in (image, label, *cut)] == [torch.float32, torch.uint8] * 2


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.sampled_from([8, 16, 32, 48]), st.sampled_from([8, 16, 32, 48])),
    angle=st.floats(-math.pi, math.pi),
    zoom=st.floats(0.5, 1.6),
    shift=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
    mirrored=st.tuples(st.booleans(), st.booleans()),
)
def test_patch_is_turned_and_scaled_about_the_place_that_its_centre_is_moved_to(
    size: tuple[int, int],
    angle: float,
    zoom: float,
    shift: tuple[float, float],
    mirrored: tuple[bool, bool],
) -> None:
    """Ramps, of which linear interpolation makes ramps, say which row and column is seen where."""
    centre, shape = (70, 80), (150, 161)
    ramps = torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij")
    offsets = np.meshgrid(*(np.arange(n) + 0.5 - n / 2 for n in size), indexing="ij")
    down, right = (-o if flip else o for o, flip in zip(offsets, mirrored, strict=True))
    turned = (
        math.cos(angle) * down + math.sin(angle) * right,
        math.cos(angle) * right - math.sin(angle) * down,
    )
    labels = torch.zeros(shape, dtype=torch.uint8)
    move = Move(angle, zoom, shift, mirrored)
    for ramp, middle, step, along in zip(ramps, centre, shift, turned, strict=True):
        [image], _ = moved([Location(ramp, labels, centre)], [move], size)
        np.testing.assert_allclose(image, middle + step - 0.5 + zoom * along, atol=1e-3)


def test_moves_of_a_batch_are_each_its_own() -> None:
    """Among patches that stay where they are, too."""
    rng = np.random.default_rng(7)
    locations = [make_location(rng) for _ in range(6)]
    moves = [make_move(rng), STILL, make_move(rng), STILL, STILL, make_move(rng)]
    together = moved(locations, moves, PATCH)
    for index, (location, move) in enumerate(zip(locations, moves, strict=True)):
        [image], [label] = moved([location], [move], PATCH)
        assert torch.equal(image, together[0][index])
        assert torch.equal(label, together[1][index])


def test_what_nobody_annotated_is_moved_like_a_label() -> None:
    rng = np.random.default_rng(8)
    locations = [make_location(rng, labels=(0, 1)) for _ in range(9)]
    moves = [make_move(rng) for _ in locations]
    unknown = [
        location._replace(labels=torch.where(location.labels == 1, IGNORED, 2).to(torch.uint8))
        for location in locations
    ]
    ones = [location._replace(image=torch.ones_like(location.image)) for location in locations]
    inside, labels = moved(ones, moves, PATCH)
    _, found = moved(unknown, moves, PATCH)
    for whole, known, ignored in zip(inside, labels, found, strict=True):
        assert torch.equal(ignored == IGNORED, known == 1)
        assert set(ignored[whole > 0.99].unique().tolist()) == {2, IGNORED}
        assert (ignored[whole == 0] == 0).all()


def test_labels_follow_the_image_when_it_is_rotated_and_scaled() -> None:
    labels = torch.zeros(100, 100, dtype=torch.uint8)
    labels[41:55, 47:58] = 1  # off centre, not square
    rng = np.random.default_rng(3)
    location = Location(labels.float(), labels, (50, 50))
    images, found = moved([location] * 16, [make_move(rng) for _ in range(16)], PATCH)
    inside, known = torch.stack(images) > 0.5, torch.stack(found) == 1
    assert 2 * (inside & known).sum() / (inside.sum() + known.sum()) > 0.97
    # and the rectangle did move, otherwise the agreement says nothing
    _, still = cut_patch(location, PATCH)
    assert all((label != still).any() for label in found)


def make_locations(size: int = 6, seed: int = 9) -> list[Location]:
    rng = np.random.default_rng(seed)
    return [make_location(rng) for _ in range(size)]


def augmented(
    augment: Augmentation, locations: Sequence[Location], seed: int = 0
) -> tuple[Tensor, Tensor]:
    return augment(locations, PATCH, np.random.default_rng(seed), generator(seed))


def test_a_batch_has_its_shape_and_invents_no_label() -> None:
    rng = np.random.default_rng(1)
    locations = [make_location(rng, labels=(0, 1, 3)) for _ in range(40)]
    images, labels = augmented(augmentation(probability=1.0), locations)
    assert images.shape == labels.shape == (40, 1, *PATCH)
    assert (images.dtype, labels.dtype) == (torch.float32, torch.uint8)
    assert images.isfinite().all()
    assert set(labels.unique().tolist()) == {0, 1, 3}


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_same_seeds_same_batch(seed: int) -> None:
    augment, locations = augmentation(), make_locations(20)
    first, again, other = (augmented(augment, locations, s) for s in (seed, seed, seed + 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_global_random_state_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = augmented(augmentation(), make_locations(40))
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpys).all()  # noqa: NPY002
    torch.manual_seed(2)
    assert torch.equal(augmented(augmentation(), make_locations(40))[0], first[0])


def test_input_is_left_as_it_was() -> None:
    locations = make_locations(40)
    kept = [(location.image.clone(), location.labels.clone()) for location in locations]
    augmented(augmentation(), locations)
    for location, (image, labels) in zip(locations, kept, strict=True):
        assert torch.equal(location.image, image)
        assert torch.equal(location.labels, labels)


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    locations = make_locations(24)
    others = [locations[0]._replace(image=locations[0].image * 50 + 7), *locations[1:]]
    for seed in range(4):
        (first, _), (second, _) = (
            augmented(augmentation(), each, seed) for each in (locations, others)
        )
        assert torch.equal(first[1:], second[1:])
        assert not torch.equal(first[0], second[0])


def test_intensities_are_left_alone_where_a_recipe_says_so() -> None:
    augment = augmentation(rotation_degrees=0.0, scale=(1.0, 1.0), mirror=False, intensities=False)
    locations = make_locations(40)
    images, labels = augmented(augment, locations)
    for location, image, label in zip(locations, images, labels, strict=True):
        expected = cut_patch(location, PATCH)
        assert torch.equal(image[0], expected[0])
        assert torch.equal(label[0], expected[1])


# How often, and how much


def assert_share(chosen: Sequence[bool] | int, probability: float, trials: int) -> None:
    """A count of decisions is one that a right probability gives."""
    count = chosen if isinstance(chosen, int) else sum(chosen)
    deviation = math.sqrt(trials * probability * (1 - probability))
    assert abs(count - trials * probability) <= norm.isf(FALSE_ALARM / 2) * deviation


def assert_uniform(values: Sequence[float], low: float, high: float) -> None:
    assert low <= min(values) <= max(values) <= high
    assert kstest(values, "uniform", args=(low, high - low)).pvalue > FALSE_ALARM


TRIALS = 20_000


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"translation_pixels": 60, "probability": 0.5},
        {"rotation_degrees": 15.0, "scale": (0.9, 1.1), "mirror": False, "probability": 0.8},
        {"rotation_degrees": 60.0, "translation_pixels": 5, "probability": 1.0},
    ],
)
def test_moves_are_drawn_with_the_recipe_s_probability_and_ranges(changes: dict[str, Any]) -> None:
    augment, rng = augmentation(**changes), np.random.default_rng(4)
    moves = [augment._move(rng) for _ in range(TRIALS)]
    limit, reach = math.radians(augment.rotation_degrees), augment.translation_pixels
    turned = [move.angle != 0 for move in moves]
    scaled = [move.zoom != 1 for move in moves]
    for chosen in (turned, scaled):
        assert_share(chosen, augment.probability, TRIALS)
    both = [a and b for a, b in zip(turned, scaled, strict=True)]
    assert_share(both, augment.probability**2, TRIALS)  # each for itself
    assert_uniform([move.angle for move in moves if move.angle], -limit, limit)
    assert_uniform([move.zoom for move in moves if move.zoom != 1], *augment.scale)
    shifted = [move.shift for move in moves if any(move.shift)]
    assert_share(len(shifted), augment.probability if reach else 0.0, TRIALS)
    for along in zip(*shifted, strict=True):
        assert_uniform(along, -reach, reach)
    for probability, axes in ((0.5, [(0,), (1,)]), (0.25, [(0, 1)])):
        for axis in axes:
            mirrored = [all(move.mirrored[a] for a in axis) for move in moves]
            assert_share(mirrored, probability if augment.mirror else 0.0, TRIALS)


# of nnU-Net's text; in its code blur and resolution are drawn twice (per image, per channel)
CHANGES = {
    "add_noise": (0.1, 0.0, 0.1),
    "blur": (0.2 * 0.5, 0.5, 1.0),
    "brightness": (0.15, 0.75, 1.25),
    "scale_contrast": (0.15, 0.75, 1.25),
    "lower_resolution": (0.25 * 0.5, 0.5, 1.0),
    "change_gamma of the negative": (0.1, 0.7, 1.5),
    "change_gamma": (0.3, 0.7, 1.5),
}
"""Change of intensities -> its probability, and the range of its size."""


@pytest.fixture
def changes_made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Names and sizes of the changes that are made from now on to an image of ones, in order."""
    made: list[tuple[str, float]] = []

    def note(name: str) -> Callable[..., Tensor]:
        def change(image: Tensor, size: float, *_: Any) -> Tensor:
            factor = float(image.abs())
            if factor != 1:
                made.append(("brightness", factor))
            made.append((f"{name} of the negative" if image < 0 else name, size))
            return image.sign()

        return change

    for name in ("add_noise", "blur", "scale_contrast", "lower_resolution", "change_gamma"):
        monkeypatch.setattr(module, name, note(name))
    return made


def test_intensities_are_changed_with_nnunet_s_probabilities_and_ranges(
    changes_made: list[tuple[str, float]],
) -> None:
    rng, image = np.random.default_rng(5), torch.ones(1)
    for _ in range(TRIALS):
        brightness = float(module.change_intensities(image, rng, generator()))
        if brightness != 1:
            changes_made.append(("brightness", brightness))
    sizes = defaultdict(list)
    for name, size in changes_made:
        sizes[name].append(size)
    assert sizes.keys() == CHANGES.keys()
    for name, (probability, low, high) in CHANGES.items():
        assert_share(len(sizes[name]), probability, TRIALS)
        assert_uniform(sizes[name], low, high)


def test_noise_and_gamma_are_nnunet_s_code_s_where_a_recipe_says_so(
    changes_made: list[tuple[str, float]],
) -> None:
    """As batchgeneratorsv2 0.3.6: of noise an SD from 0 to 0.1, of gamma a half below 1."""
    rng, augment = np.random.default_rng(5), augmentation(intensities="nnunet_code")
    still = Location(torch.ones(1, 1), torch.ones(1, 1, dtype=torch.uint8), (0, 0))
    augment = replace(augment, probability=0.0, mirror=False)
    for _ in range(TRIALS):
        augment([still], (1, 1), rng, generator())
    sizes = defaultdict(list)
    for name, size in changes_made:
        sizes[name].append(size)
    for name in CHANGES.keys() - {"brightness"}:
        assert_share(len(sizes[name]), CHANGES[name][0], TRIALS)
    assert_uniform([math.sqrt(variance) for variance in sizes["add_noise"]], 0.0, 0.1)
    for gammas in (sizes["change_gamma"], sizes["change_gamma of the negative"]):
        below = [gamma for gamma in gammas if gamma < 1]
        assert_share(len(below), 0.5, len(gammas))
        assert_uniform(below, 0.7, 1.0)
        assert_uniform([gamma for gamma in gammas if gamma >= 1], 1.0, 1.5)


def test_intensities_are_changed_in_nnunet_s_order(changes_made: list[tuple[str, float]]) -> None:
    class Always:
        def random(self) -> float:
            return 0.0

        def uniform(self, low: float, high: float) -> float:
            return low

    module.change_intensities(torch.ones(1), Always(), generator())  # type: ignore[arg-type]
    assert [name for name, _ in changes_made] == list(CHANGES)
    assert [size for _, size in changes_made] == [low for _, low, _ in CHANGES.values()]


# Each change of intensities beside what it is on a batch in torch's terms


def blurred(images: Tensor, sigma: float) -> Tensor:
    """By convolution with a kernel of nine, column by column and row by row."""
    kernel = torch.exp(-0.5 * (torch.arange(-4, 5) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = functional.pad(images, [4] * 4, mode="replicate")
    padded = functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    return functional.conv2d(padded, kernel.view(1, 1, 1, -1))


def with_contrast(images: Tensor, factor: float) -> Tensor:
    axes = (1, 2, 3)
    mean = images.mean(axes, keepdim=True)
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    return ((images - mean) * factor + mean).clamp(low, high)


def sampled_down_and_up(images: Tensor, factor: float) -> Tensor:
    small = [max(1, round(extent * factor)) for extent in images.shape[2:]]
    low = functional.interpolate(images, small, mode="nearest-exact")
    return functional.interpolate(low, images.shape[2:], mode="bilinear")


def with_gamma(images: Tensor, gamma: float) -> Tensor:
    axes = (1, 2, 3)
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    width = (high - low).clamp_min(1e-7)
    curved = ((images - low) / width).clamp(0, 1) ** gamma * width + low
    curved = curved - curved.mean(axes, keepdim=True)
    curved = curved / curved.std(axes, keepdim=True).clamp_min(1e-7)
    return curved * images.std(axes, keepdim=True) + images.mean(axes, keepdim=True)


ON_A_BATCH = {
    "blur": (module.blur, blurred, 0.5, 1.0),
    "contrast": (module.scale_contrast, with_contrast, 0.75, 1.25),
    "resolution": (module.lower_resolution, sampled_down_and_up, 0.5, 1.0),
    "gamma": (module.change_gamma, with_gamma, 0.7, 1.5),
}


@pytest.mark.parametrize("shape", [(32, 24), (37, 50), (1, 9), (128, 96)])
@pytest.mark.parametrize("change", ON_A_BATCH.values(), ids=ON_A_BATCH.keys())
def test_change_of_an_image_is_that_of_a_batch(
    change: tuple[Callable[[Tensor, float], Tensor], Callable[[Tensor, float], Tensor], Any, Any],
    shape: tuple[int, int],
) -> None:
    of_image, of_batch, low, high = change
    images = torch.randn(12, 1, *shape, generator=generator(6))
    for size in np.linspace(low, high, 7).tolist():
        found = torch.stack([of_image(image, size) for image in images[:, 0]])[:, None]
        torch.testing.assert_close(found, of_batch(images, size), atol=1e-6, rtol=1e-6)


# nearly the same and the same everywhere: what gamma and contrast divide by is nothing
@pytest.mark.parametrize("image", [torch.full((20, 24), 3.5), torch.zeros(8, 8), -torch.ones(4, 4)])
def test_changes_keep_a_constant_image(image: Tensor) -> None:
    for change, _, low, high in ON_A_BATCH.values():
        for size in (low, high):
            torch.testing.assert_close(change(image, size), image)


@pytest.mark.parametrize("gamma", [0.7, 1.1, 1.5])
def test_gamma_keeps_mean_deviation_and_the_order_of_intensities(gamma: float) -> None:
    image = torch.linspace(-2, 5, 100).view(10, 10).square()
    changed = module.change_gamma(image, gamma)
    torch.testing.assert_close(changed.mean(), image.mean(), atol=1e-4, rtol=0)
    torch.testing.assert_close(changed.std(), image.std(), atol=1e-4, rtol=0)
    assert (changed - image).abs().max() > 1e-3
    order = image.flatten().argsort()
    assert (changed.flatten()[order].diff() >= -1e-6).all()


@pytest.mark.parametrize("factor", [0.75, 0.9, 1.25])
def test_contrast_keeps_the_range(factor: float) -> None:
    image = torch.randn(20, 20, generator=generator())
    changed = module.scale_contrast(image, factor)
    assert image.min() <= changed.min() < changed.max() <= image.max()
    assert float(changed.std() / image.std()) == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("variance", [0.0, 0.03, 0.1])
def test_noise_is_normal_with_its_variance(variance: float) -> None:
    image = torch.linspace(-3, 3, 40_000).view(200, 200)
    noise = (module.add_noise(image, variance, generator(1)) - image).double().flatten()
    if variance == 0:
        assert not noise.any()
        return
    assert kstest(noise / math.sqrt(variance), "norm").pvalue > FALSE_ALARM


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.0])
def test_blur_spreads_a_point_evenly_and_keeps_its_sum(sigma: float) -> None:
    image = torch.zeros(21, 21)
    image[10, 10] = 1
    blurred = module.blur(image, sigma)
    torch.testing.assert_close(blurred.sum(), torch.tensor(1.0))
    torch.testing.assert_close(blurred, blurred.T)
    torch.testing.assert_close(blurred, blurred.flip(0))
    neighbour = float(blurred[10, 11] / blurred[10, 10])
    assert neighbour == pytest.approx(math.exp(-0.5 / sigma**2), rel=1e-5)
