"""What augmentation changes, and what it must leave alone."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cardiouq.recipes import augmentation as module
from cardiouq.recipes.augmentation import Augmentation, cut_patch
from cardiouq.structures import IGNORED
from cardiouq.study.schema import filled_in

PATCH = (32, 24)


def augmentation(**changes: Any) -> Augmentation:
    """nnU-Net's ranges, or others."""
    nnunet = {"rotation_degrees": 180.0, "scale": (0.7, 1.4), "mirror": True}
    return Augmentation(**filled_in(nnunet | changes, "recipes", "any", "augmentation"))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_batch(window: int, size: int = 6) -> tuple[Tensor, Tensor]:
    draw = generator(9)
    images = torch.randn(size, 1, window, window, generator=draw)
    labels = torch.randint(0, 4, (size, 1, window, window), generator=draw, dtype=torch.uint8)
    return images, labels


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Make every decision of the augmentation the same."""

    def force(decision: bool) -> None:
        monkeypatch.setattr(
            module,
            "_chosen",
            lambda like, draw, probability: torch.full((len(like), 1, 1, 1), decision),
        )

    return force


def test_nothing_chosen_is_the_centre_of_the_window(choose: Callable[[bool], None]) -> None:
    choose(False)
    augment = augmentation()
    images, labels = make_batch(augment.window(PATCH))
    placed, placed_labels = augment(images, labels, PATCH, generator())
    torch.testing.assert_close(placed, cut_patch(images, PATCH), atol=1e-4, rtol=0)
    assert torch.equal(placed_labels, cut_patch(labels, PATCH))


def test_all_chosen_changes_every_image_and_invents_no_label(
    choose: Callable[[bool], None],
) -> None:
    choose(True)
    augment = augmentation()
    images, labels = make_batch(augment.window(PATCH))
    labels = torch.where(labels == 2, 0, labels)
    changed, changed_labels = augment(images, labels, PATCH, generator())
    assert changed.shape == changed_labels.shape == (6, 1, *PATCH)
    assert changed_labels.dtype == torch.uint8
    assert set(changed_labels.unique().tolist()) == {0, 1, 3}
    assert ((changed - cut_patch(images, PATCH)).abs().amax((1, 2, 3)) > 0.1).all()
    assert changed.isfinite().all()


def test_what_nobody_annotated_is_moved_like_a_label(choose: Callable[[bool], None]) -> None:
    choose(True)
    augment = augmentation()
    images, _ = make_batch(augment.window(PATCH))
    known = (images > 0).to(torch.uint8)
    _, moved = augment(images, known, PATCH, generator())
    _, found = augment(images, torch.where(known == 1, IGNORED, 2).to(known), PATCH, generator())
    assert torch.equal(found == IGNORED, moved == 1)
    assert set(found.unique().tolist()) == {2, IGNORED}


def test_labels_follow_the_image_when_it_is_rotated_and_scaled(
    choose: Callable[[bool], None],
) -> None:
    choose(True)
    augment = augmentation()
    window = augment.window(PATCH)
    labels = torch.zeros(16, 1, window, window, dtype=torch.uint8)
    middle = window // 2
    labels[:, :, middle - 9 : middle + 5, middle - 3 : middle + 8] = 1  # off centre, not square
    images, placed = augment._place(labels.float(), labels, PATCH, generator(3))
    agreement = 2 * ((images > 0.5) & (placed == 1)).sum() / ((images > 0.5).sum() + placed.sum())
    assert agreement > 0.97
    # and the square did move, otherwise the agreement says nothing
    still = cut_patch(labels, PATCH)
    assert (placed != still).flatten(1).any(1).all()


def test_mirrored_labels_follow_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module,
        "_chosen",
        lambda like, draw, p: torch.full((len(like), 1, 1, 1), p == 0.5),  # mirroring's own
    )
    augment = augmentation()
    _, labels = make_batch(augment.window(PATCH))
    images, mirrored = augment(labels.float(), labels, PATCH, generator())
    assert torch.equal(images.round().to(torch.uint8), mirrored)
    assert torch.equal(mirrored, cut_patch(labels, PATCH).flip(2, 3))


def test_without_mirror_no_image_is_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "_chosen", lambda like, draw, p: torch.full((len(like), 1, 1, 1), p == 0.5)
    )
    augment = augmentation(mirror=False)
    images, labels = make_batch(augment.window(PATCH))
    _, placed = augment(images, labels, PATCH, generator())
    assert torch.equal(placed, cut_patch(labels, PATCH))


@pytest.mark.parametrize("seed", [0, 1])
def test_same_generator_seed_same_batch(seed: int) -> None:
    augment = augmentation()
    batch = make_batch(augment.window(PATCH))
    first = augment(*batch, PATCH, generator(seed))
    again = augment(*batch, PATCH, generator(seed))
    other = augment(*batch, PATCH, generator(seed + 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_global_random_state_is_neither_used_nor_moved() -> None:
    augment = augmentation()
    batch = make_batch(augment.window(PATCH))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    augment(*batch, PATCH, generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_input_is_left_as_it_was() -> None:
    augment = augmentation()
    images, labels = make_batch(augment.window(PATCH))
    kept = images.clone(), labels.clone()
    augment(images, labels, PATCH, generator())
    assert torch.equal(images, kept[0])
    assert torch.equal(labels, kept[1])


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    augment = augmentation()
    images, labels = make_batch(augment.window(PATCH), size=24)
    other = images.clone()
    other[0] = other[0] * 50 + 7
    for seed in range(4):
        first, _ = augment(images, labels, PATCH, generator(seed))
        second, _ = augment(other, labels, PATCH, generator(seed))
        torch.testing.assert_close(first[1:], second[1:])
        assert not torch.equal(first[0], second[0])


@settings(max_examples=40, deadline=None)
@given(
    rows=st.sampled_from([16, 32, 48, 64, 96]),
    columns=st.sampled_from([16, 32, 48, 64, 96]),
    largest=st.floats(0.7, 1.6),
    seed=st.integers(0, 1000),
)
def test_window_holds_the_patch_under_every_rotation_and_scale(
    rows: int, columns: int, largest: float, seed: int
) -> None:
    augment = augmentation(scale=(largest, largest))
    window = augment.window((rows, columns))
    ones = torch.ones(20, 1, window, window)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module, "_chosen", lambda like, draw, p: torch.ones(len(like), 1, 1, 1, dtype=bool)
        )
        placed, _ = augment._place(ones, ones.to(torch.uint8), (rows, columns), generator(seed))
    assert placed.min() > 0.999  # what lies outside the window is 0


# nnU-Net v2's probabilities; blur and resolution are drawn twice there (per image, per channel)
@pytest.mark.parametrize(
    ("transform", "probability"),
    [
        (module.add_noise, 0.1),
        (module.blur, 0.2 * 0.5),
        (module.scale_brightness, 0.15),
        (module.scale_contrast, 0.15),
        (module.lower_resolution, 0.25 * 0.5),
        (lambda x, draw: module.change_gamma(x, draw, 0.1, invert=True), 0.1),
        (lambda x, draw: module.change_gamma(x, draw, 0.3, invert=False), 0.3),
    ],
    ids=["noise", "blur", "brightness", "contrast", "resolution", "gamma inverted", "gamma"],
)
def test_transform_changes_its_share_of_images(
    transform: Callable[[Tensor, torch.Generator], Tensor], probability: float
) -> None:
    images = torch.randn(3000, 1, 8, 8, generator=generator(5))
    changed = ((transform(images, generator(6)) - images).abs() > 1e-6).flatten(1).any(1)
    deviation = (probability * (1 - probability) / len(images)) ** 0.5
    assert float(changed.float().mean()) == pytest.approx(probability, abs=4 * deviation)


@pytest.mark.parametrize("invert", [False, True])
def test_gamma_keeps_mean_and_deviation(choose: Callable[[bool], None], invert: bool) -> None:
    choose(True)
    images = torch.rand(8, 1, 20, 20, generator=generator()) ** 2 * 7 - 3
    changed = module.change_gamma(images, generator(), 1.0, invert=invert)
    axes = (1, 2, 3)
    torch.testing.assert_close(changed.mean(axes), images.mean(axes), atol=1e-4, rtol=0)
    torch.testing.assert_close(changed.std(axes), images.std(axes), atol=1e-4, rtol=0)
    assert ((changed - images).abs().amax(axes) > 1e-3).all()


@pytest.mark.parametrize("invert", [False, True])
def test_gamma_keeps_the_order_of_intensities(choose: Callable[[bool], None], invert: bool) -> None:
    choose(True)
    images = torch.linspace(-2, 5, 100).view(1, 1, 10, 10)
    changed = module.change_gamma(images, generator(), 1.0, invert=invert)
    assert (changed.flatten().diff() >= 0).all()


def test_contrast_keeps_the_range(choose: Callable[[bool], None]) -> None:
    choose(True)
    images = torch.randn(32, 1, 20, 20, generator=generator())
    changed = module.scale_contrast(images, generator())
    axes = (1, 2, 3)
    assert (changed.amax(axes) <= images.amax(axes)).all()
    assert (changed.amin(axes) >= images.amin(axes)).all()
    assert (changed.std(axes) / images.std(axes)).max() > 1.05
    assert (changed.std(axes) / images.std(axes)).min() < 0.95


def test_brightness_is_a_factor_between_three_quarters_and_five_quarters(
    choose: Callable[[bool], None],
) -> None:
    choose(True)
    images = torch.rand(200, 1, 4, 4, generator=generator()) + 1
    ratio = module.scale_brightness(images, generator()) / images
    torch.testing.assert_close(ratio.amin((1, 2, 3)), ratio.amax((1, 2, 3)))
    assert 0.75 <= ratio.min() < 0.78
    assert 1.22 < ratio.max() <= 1.25


def test_noise_has_no_more_than_its_largest_variance(choose: Callable[[bool], None]) -> None:
    choose(True)
    images = torch.zeros(200, 1, 40, 40)
    variance = module.add_noise(images, generator()).var((1, 2, 3))
    assert variance.max() < 0.115
    assert variance.mean() == pytest.approx(0.05, abs=0.01)


def test_blur_and_lower_resolution_keep_a_constant_image(choose: Callable[[bool], None]) -> None:
    choose(True)
    images = torch.full((4, 1, 20, 24), 3.5)
    for transform in (module.blur, module.lower_resolution):
        torch.testing.assert_close(transform(images, generator()), images)


def test_blur_spreads_a_point_evenly_and_keeps_its_sum(choose: Callable[[bool], None]) -> None:
    choose(True)
    images = torch.zeros(3, 1, 21, 21)
    images[:, :, 10, 10] = 1
    blurred = module.blur(images, generator())
    torch.testing.assert_close(blurred.sum((1, 2, 3)), torch.ones(3))
    torch.testing.assert_close(blurred, blurred.transpose(2, 3))
    torch.testing.assert_close(blurred, blurred.flip(2))
    assert (blurred[:, 0, 10, 10] < 0.7).all()


def test_moved_images_are_the_window_elsewhere_with_their_labels() -> None:
    augment = augmentation(
        rotation_degrees=0.0,
        scale=(1.0, 1.0),
        mirror=False,
        translation_pixels=5,
        probability=1.0,
        intensities=False,
    )
    size = augment.window(PATCH)
    assert size >= math.hypot(*PATCH) + 10  # no move reaches beyond the window
    ramps = torch.arange(size).expand(size, size).float()
    for along, start in ((ramps, (size - PATCH[1]) // 2), (ramps.T, (size - PATCH[0]) // 2)):
        images = along.expand(400, 1, size, size).contiguous()
        labels = (images > size / 2).to(torch.uint8)
        moved, moved_labels = augment(images, labels, PATCH, generator(2))
        offsets = moved[:, 0, 0, 0] - start
        assert offsets.abs().max() <= 5 + 1e-3
        assert offsets.std() == pytest.approx(10 / 12**0.5, rel=0.1)  # uniform
        far = (moved - size / 2).abs() > 1
        assert torch.equal((moved > size / 2)[far], moved_labels.bool()[far])


def test_intensities_are_left_alone_where_a_recipe_says_so() -> None:
    augment = augmentation(rotation_degrees=0.0, scale=(1.0, 1.0), mirror=False, intensities=False)
    images, labels = make_batch(augment.window(PATCH))
    changed, _ = augment(images, labels, PATCH, generator())
    torch.testing.assert_close(changed, cut_patch(images, PATCH), atol=1e-4, rtol=0)


def test_probability_1_turns_and_scales_every_image() -> None:
    augment = augmentation(
        rotation_degrees=60.0, scale=(0.7, 1.3), mirror=False, probability=1.0, intensities=False
    )
    images, labels = make_batch(augment.window(PATCH), size=20)
    changed, _ = augment(images, labels, PATCH, generator())
    assert ((changed - cut_patch(images, PATCH)).abs().amax((1, 2, 3)) > 0.1).all()
