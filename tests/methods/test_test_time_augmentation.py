"""Test-time augmentation: what is done to an image is undone to its logits."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from scipy.stats import norm
from torch import Tensor
from torch.nn.functional import conv2d

from cardiouq.methods import single
from cardiouq.methods.test_time_augmentation import Method
from cardiouq.recipes.network import UNet
from cardiouq.recipes.schedule import PolynomialSchedule

SCHEDULE = PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9)
NOTHING: dict[str, Any] = {
    "rotation_degrees": 0.0,
    "scale": (1.0, 1.0),
    "mirror": False,
    "noise_sd": 0.0,
}


def smooth_image(rows: int, columns: int) -> Tensor:
    """Waves without a symmetry, longer than 20 pixels, (1, 1, rows, columns)."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return (torch.sin(0.21 * x + 0.1) + torch.cos(0.13 * x + 0.25 * y) + 0.02 * y)[None, None]


def test_without_ranges_it_is_vanilla_bit_for_bit(
    make_network: Callable[..., UNet], make_run: Any, images: Tensor
) -> None:
    run = make_run({7: make_network})
    [draw] = Method(passes=3, **NOTHING).draws([run], SCHEDULE, {})
    vanilla = single.Method()
    [plain] = vanilla.draws([run], SCHEDULE, vanilla.fit([run], SCHEDULE))
    [expected] = plain.logits(plain.network(images))
    passes = list(draw.logits(draw.network(images)))
    assert len(passes) == len(draw.samples) == 3
    assert all(torch.equal(logits, expected) for logits in passes)


def test_mirroring_is_undone(images: Tensor) -> None:
    """For a network that mirrors with its input; all four mirrorings come up."""
    method = Method(**NOTHING | {"mirror": True})
    kernel = torch.tensor([[1.0, 2, 1], [3, 5, 3], [1, 2, 1]])[None, None]
    seen = []

    def network(x: Tensor) -> Tensor:
        seen.append(x)
        return conv2d(x, kernel, padding=1)

    expected = conv2d(images, kernel, padding=1)
    torch.manual_seed(0)
    for _ in range(20):
        torch.testing.assert_close(method.augmented(network, images), expected, rtol=0, atol=1e-4)
    mirrored = [images, images.flip(2), images.flip(3), images.flip(2, 3)]
    which = [[torch.allclose(x, m, atol=1e-5) for m in mirrored] for x in seen]
    assert all(sum(row) == 1 for row in which)
    assert {row.index(True) for row in which} == {0, 1, 2, 3}


@pytest.mark.parametrize("shape", [(64, 64), (60, 80)])
@pytest.mark.parametrize(
    "ranges", [{"rotation_degrees": 30.0}, {"scale": (0.8, 0.8)}, {"scale": (1.25, 1.25)}]
)
def test_there_and_back_keeps_a_smooth_image(
    ranges: dict[str, Any], shape: tuple[int, int]
) -> None:
    image = smooth_image(*shape)
    method = Method(**NOTHING | ranges)
    seen = []

    def network(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    torch.manual_seed(1)
    middle = (..., slice(18, -18), slice(18, -18))  # what was never outside the image
    for _ in range(5):
        back = method.augmented(network, image)
        assert (back - image)[middle].abs().max() < 0.05
    assert all((x - image)[middle].abs().max() > 0.2 for x in seen)


def test_image_is_turned_and_scaled_by_what_was_drawn() -> None:
    image = smooth_image(60, 80)
    method = Method(**NOTHING | {"rotation_degrees": 30.0, "scale": (0.9, 1.1)})
    seen = []
    torch.manual_seed(2)
    there, back = method._transformation(image)
    torch.manual_seed(2)
    method.augmented(lambda x: seen.append(x) or x, image)
    zoom = math.sqrt(float(torch.linalg.det(there)))
    angle = math.degrees(math.acos(float(there[0, 0]) / zoom))
    assert 0.9 <= zoom <= 1.1
    assert 1 < angle <= 30
    torch.testing.assert_close(there @ back, torch.eye(2))
    # scipy's coordinates are (row, column) and start at the first voxel's centre
    by_row = np.asarray(there)[::-1, ::-1]
    centre = (np.array([60, 80]) - 1) / 2
    expected = affine_transform(
        image[0, 0].numpy(), by_row, centre - by_row @ centre, order=1, mode="nearest"
    )
    np.testing.assert_allclose(seen[0][0, 0].numpy(), expected, atol=1e-3)


def test_noise_has_the_standard_deviation_that_was_asked_for() -> None:
    images = torch.zeros(4, 1, 100, 100)
    torch.manual_seed(3)
    noise = Method(**NOTHING | {"noise_sd": 0.05}).augmented(lambda x: x, images).double() / 0.05
    count, bound = noise.numel(), norm.isf(1e-6)
    assert abs(float(noise.mean())) * count**0.5 < bound
    assert abs(float(noise.var()) - 1) * (count / 2) ** 0.5 < bound


def test_passes_differ(make_network: Callable[..., UNet], make_run: Any, images: Tensor) -> None:
    [draw] = Method(passes=2).draws([make_run({7: make_network})], SCHEDULE, {})
    first, second = draw.logits(draw.network(images))
    assert first.shape == (2, 4, 32, 32)
    assert not torch.equal(first, second)
