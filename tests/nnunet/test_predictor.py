"""Prediction follows nnU-Net step by step; each step is compared with one made by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cardiouq.data.plan import Plan
from cardiouq.nnunet.model import TrainedModel
from cardiouq.nnunet.predictor import (
    Combination,
    in_scan,
    logits_of,
    predict_scan,
    prepare,
    tiled,
)

CPU = torch.device("cpu")
SPACING = (8.0, 1.5, 1.5)


def plan_of(patch: tuple[int, int], spacing: tuple[float, float] = (1.5, 1.5)) -> Plan:
    return Plan(spacing, patch, 4, 3, (4, 8, 16), ((3, 3),) * 3, ((1, 1), (2, 2), (2, 2)))


def noise(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "starts"),
    [
        (8, [0]),
        (9, [0, 1]),
        (12, [0, 4]),
        (13, [0, 2, 5]),  # of 2.5 the even neighbour
        (20, [0, 4, 8, 12]),
        (21, [0, 3, 6, 10, 13]),
    ],
)
def test_tiles_are_half_a_patch_apart_or_less(size: int, starts: list[int]) -> None:
    seen = []

    def network(images: Tensor) -> Tensor:
        seen.append(int(images[0, 0, 0, 0]))
        return images

    columns = torch.arange(size, dtype=torch.float32).expand(1, 1, 8, size)
    tiled(network, columns, (8, 8))
    assert seen == starts


def test_tiles_are_blended_by_a_gaussian_about_pixel_patch_half() -> None:
    """A network that says of every pixel the mean of its tile; of patches of 8 the Gaussian's SD
    is 1 pixel."""
    rows, columns = 13, 11
    slices = torch.from_numpy(noise(10, 1, rows, columns))

    def network(tiles: Tensor) -> Tensor:
        return tiles.mean((2, 3), keepdim=True).expand_as(tiles)

    total, weights = np.zeros(slices.shape), np.zeros(slices.shape)
    for top in (0, 2, 5):
        for left in (0, 3):
            mean = slices[:, :, top : top + 8, left : left + 8].mean((2, 3)).numpy()
            for row in range(8):
                for column in range(8):
                    weight = np.exp(-((row - 4) ** 2 + (column - 4) ** 2) / 2)
                    total[:, :, top + row, left + column] += weight * mean
                    weights[:, :, top + row, left + column] += weight
    blended = tiled(network, slices, (8, 8))
    np.testing.assert_allclose(blended.numpy(), total / weights, rtol=1e-4)


def test_a_scan_is_cropped_to_what_is_not_zero_and_normalised_in_that_box() -> None:
    scan = np.zeros((4, 10, 12), np.float32)
    scan[1:3, 2:8, 3:9] = noise(2, 6, 6)
    scan[1, 4, 4] = 0  # a hole
    inside = scan[1:3, 2:8, 3:9]
    prepared = prepare(scan, SPACING, plan_of((16, 16)))
    assert prepared.box == (slice(1, 3), slice(2, 8), slice(3, 9))
    expected = (inside - inside.mean()) / inside.std()
    np.testing.assert_allclose(prepared.image, expected, rtol=1e-5, atol=1e-5)


def test_the_box_is_resampled_to_the_plan_s_spacing() -> None:
    prepared = prepare(noise(3, 10, 12), SPACING, plan_of((16, 16), (1.0, 3.0)))
    assert prepared.image.shape == (3, 15, 6)


@pytest.mark.parametrize(("thickness", "is_thick"), [(8.0, True), (3.0, False)])
def test_resampling_never_exceeds_the_slice_or_of_thin_ones_the_scan(
    thickness: float, is_thick: bool
) -> None:
    """A cubic interpolation overshoots at edges."""
    scan = np.ones((2, 8, 8), np.float32)
    scan[0, :, 4:], scan[1, :, 4:] = 2, 3
    image = prepare(scan, (thickness, 1.5, 1.5), plan_of((16, 16), (1.0, 1.0))).image
    middle, high = ((value - scan.mean()) / scan.std() for value in (2, 3))
    assert image[1].max() == pytest.approx(high, abs=1e-6)
    assert (image[0].max() == pytest.approx(middle, abs=1e-6)) == is_thick


def test_a_slice_smaller_than_the_patch_is_padded_with_zeros_by_the_smaller_half_first() -> None:
    seen = []

    def network(images: Tensor) -> Tensor:
        seen.append(images)
        return images

    scan = noise(1, 5, 6)
    prepared = prepare(scan, SPACING, plan_of((8, 7)))
    logits = logits_of(network, prepared, plan_of((8, 7)), (), CPU)
    [image] = seen
    expected = np.zeros((8, 7), np.float32)
    expected[1:6, 0:6] = prepared.image[0]
    np.testing.assert_array_equal(image[0, 0], expected)
    np.testing.assert_allclose(logits[:, 0], prepared.image, rtol=1e-6)


def test_logits_are_the_mean_over_all_mirror_images() -> None:
    """A network that sees where a pixel is in the image that it is given."""
    weights = torch.arange(64, dtype=torch.float32).reshape(8, 8)
    prepared = prepare(noise(1, 8, 8), SPACING, plan_of((8, 8)))

    def logits(*axes: int) -> Any:
        return logits_of(lambda images: images * weights, prepared, plan_of((8, 8)), axes, CPU)

    image = torch.from_numpy(prepared.image)
    torch.testing.assert_close(logits()[:, 0], image * weights)
    torch.testing.assert_close(logits(1)[:, 0], image * (weights + weights.flip(1)) / 2)
    torch.testing.assert_close(logits(0, 1)[:, 0], image * 31.5)


def test_logits_are_resampled_linearly_before_they_become_probabilities() -> None:
    """From columns of 3 mm to columns of 1.5 mm, whose centres are a quarter pixel aside."""
    plan = plan_of((4, 4), (1.5, 3.0))
    prepared = prepare(noise(1, 4, 8), SPACING, plan)

    def network(images: Tensor) -> Tensor:
        column = torch.tensor([0.0, 4.0, 8.0, 20.0]).expand_as(images)
        return torch.cat([torch.zeros_like(column), column], 1)

    logits = logits_of(network, prepared, plan, (), CPU)
    expected = torch.tensor([0.0, 1.0, 3.0, 5.0, 7.0, 11.0, 17.0, 20.0])
    torch.testing.assert_close(logits[0, 1, 0], expected)
    probabilities = in_scan(logits, prepared)
    torch.testing.assert_close(probabilities[1, 0, 0], expected.sigmoid())


def test_outside_the_box_all_is_background() -> None:
    scan = np.zeros((3, 8, 8), np.float32)
    scan[1, 2:6, 2:6] = noise(4, 4)
    prepared = prepare(scan, SPACING, plan_of((4, 4)))
    probabilities = in_scan(torch.full((1, 3, 4, 4), 1.0), prepared)
    torch.testing.assert_close(probabilities.sum(0), torch.ones(3, 8, 8))
    inside = np.zeros(scan.shape, bool)
    inside[1, 2:6, 2:6] = True
    np.testing.assert_array_equal(probabilities[0].numpy() == 1, ~inside)


@pytest.mark.parametrize("value", [0, 7])
def test_a_scan_of_one_value_has_finite_probabilities(value: float) -> None:
    plan = plan_of((8, 8))
    prepared = prepare(np.full((2, 8, 8), value, np.float32), SPACING, plan)
    logits = logits_of(lambda images: images.repeat(1, 3, 1, 1), prepared, plan, (0, 1), CPU)
    torch.testing.assert_close(in_scan(logits, prepared), torch.full((3, 2, 8, 8), 1 / 3))


@pytest.mark.parametrize(
    ("mean_of", "expected"),
    [
        ("probabilities", (torch.tensor(2.0).sigmoid() + torch.tensor(-6.0).sigmoid()) / 2),
        ("logits", torch.tensor(-2.0).sigmoid()),
    ],
)
def test_members_are_averaged_as_they_are_asked_to(mean_of: Combination, expected: Tensor) -> None:
    model = TrainedModel(plan_of((8, 8)), ("wall",), (), ())

    def member(logit: float) -> Any:
        return lambda images: torch.cat([images * 0, images * 0 + logit], 1)

    networks = [member(2.0), member(-6.0)]
    found = predict_scan(model, networks, noise(2, 8, 8), SPACING, CPU, mean_of=mean_of)
    torch.testing.assert_close(found[1], expected.expand(2, 8, 8))


def test_mirroring_is_the_model_s_and_can_be_left_out() -> None:
    model = TrainedModel(plan_of((8, 8)), ("wall",), (1,), ())
    seen = []

    def network(images: Tensor) -> Tensor:
        seen.append(images)
        return images.repeat(1, 2, 1, 1)

    predict_scan(model, [network], noise(1, 8, 8), SPACING, CPU)
    predict_scan(model, [network], noise(1, 8, 8), SPACING, CPU, mirrored=False)
    image, mirrored, alone = seen
    torch.testing.assert_close(mirrored, image.flip(3))
    torch.testing.assert_close(alone, image)
