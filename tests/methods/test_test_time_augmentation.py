"""Test-time augmentation: what is done to an image is undone to its logits."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from scipy.stats import norm
from torch import Tensor
from torch.nn.functional import conv2d

from cardiouq.data.plan import Plan
from cardiouq.methods import single
from cardiouq.methods.test_time_augmentation import Method
from cardiouq.prediction.predictor import Predictor
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
    method = Method(passes=20, **NOTHING | {"mirror": True})
    kernel = torch.tensor([[1.0, 2, 1], [3, 5, 3], [1, 2, 1]])[None, None]
    seen = []

    def network(x: Tensor) -> Tensor:
        seen.append(x)
        return conv2d(x, kernel, padding=1)

    expected = conv2d(images, kernel, padding=1)
    torch.manual_seed(0)
    for move in method.transformations():
        found = method.augmented(network, images, move)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    mirrored = [images, images.flip(2), images.flip(3), images.flip(2, 3)]
    which = [[torch.allclose(x, m, atol=1e-5) for m in mirrored] for x in seen]
    assert all(sum(row) == 1 for row in which)
    assert {row.index(True) for row in which} == {0, 1, 2, 3}


@pytest.mark.parametrize("in_bf16", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("shape", [(64, 64), (60, 80), (128, 112)])
@pytest.mark.parametrize(
    "ranges", [{"rotation_degrees": 30.0}, {"scale": (0.8, 0.8)}, {"scale": (1.25, 1.25)}]
)
def test_there_and_back_keeps_a_smooth_image(
    ranges: dict[str, Any], shape: tuple[int, int], in_bf16: bool
) -> None:
    """Also where the network computes in bf16, in which no coordinate of a pixel may be."""
    image = smooth_image(*shape)
    method = Method(passes=5, **NOTHING | ranges)
    seen = []

    def network(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    torch.manual_seed(1)
    middle = (..., slice(18, -18), slice(18, -18))  # what was never outside the image
    for move in method.transformations():
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            back = method.augmented(network, image, move)
        assert (back - image)[middle].abs().max() < 0.05
    assert all((x - image)[middle].abs().max() > 0.2 for x in seen)


def test_image_is_turned_and_scaled_by_what_was_drawn() -> None:
    image = smooth_image(60, 80)
    method = Method(passes=1, **NOTHING | {"rotation_degrees": 30.0, "scale": (0.9, 1.1)})
    seen = []
    torch.manual_seed(2)
    [there] = method.transformations()
    method.augmented(lambda x: seen.append(x) or x, image, there)
    zoom = math.sqrt(float(torch.linalg.det(there)))
    angle = math.degrees(math.acos(float(there[0, 0]) / zoom))
    assert 0.9 <= zoom <= 1.1
    assert 1 < angle <= 30
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
    method = Method(**NOTHING | {"noise_sd": 0.05})
    noise = method.augmented(lambda x: x, images, torch.eye(2)).double() / 0.05
    count, bound = noise.numel(), norm.isf(1e-6)
    assert abs(float(noise.mean())) * count**0.5 < bound
    assert abs(float(noise.var()) - 1) * (count / 2) ** 0.5 < bound


def test_passes_differ(make_network: Callable[..., UNet], make_run: Any, images: Tensor) -> None:
    [draw] = Method(passes=2).draws([make_run({7: make_network})], SCHEDULE, {})
    first, second = draw.logits(draw.network(images))
    assert first.shape == (2, 4, 32, 32)
    assert not torch.equal(first, second)


def slopes_seen(method: Method, plan: Plan, seed: int) -> Tensor:
    """How a volume of a ramp lies in each tile that a network sees: (passes, tiles, 2), the steps
    to the next row and column in the tile's middle."""
    seen: list[Tensor] = []
    rows, columns = np.meshgrid(np.arange(50), np.arange(44), indexing="ij")
    volume = np.stack([rows + 3 * columns + z for z in range(12)]).astype(np.float32)
    predictor = Predictor(plan, 0.25, torch.device("cpu"))
    torch.manual_seed(seed)
    predictor.output(partial(method.passes_of, lambda x: seen.append(x) or x), volume)
    middles = [
        torch.stack([tiles[:, 0, 17, 16], tiles[:, 0, 16, 17]], dim=1) - tiles[:, 0, 16, 16, None]
        for tiles in seen
    ]
    calls = [middles[k :: method.passes] for k in range(method.passes)]
    assert len(calls[0]) > 2  # more than once per volume
    return torch.stack([torch.cat(of_pass) for of_pass in calls])


def test_a_pass_moves_all_tiles_of_a_volume_alike(plan: Plan) -> None:
    method = Method(passes=4, **NOTHING | {"rotation_degrees": 30.0, "scale": (0.8, 1.2)})
    slopes = slopes_seen(method, plan, seed=1)
    assert slopes.shape[1] > 12  # slices are more than a tile each
    torch.testing.assert_close(slopes, slopes[:, :1].expand_as(slopes), rtol=0, atol=1e-3)
    assert len(slopes[:, 0].round(decimals=2).unique(dim=0)) == 4


def test_transformations_are_those_of_the_case_s_seed(plan: Plan) -> None:
    method = Method(passes=4, **NOTHING | {"rotation_degrees": 30.0, "scale": (0.8, 1.2)})
    first, again, other = (slopes_seen(method, plan, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert ((first - other).abs().amax((1, 2)) > 0.01).all()


def test_noise_differs_from_pixel_to_pixel_and_from_tile_to_tile(plan: Plan) -> None:
    method = Method(passes=2, **NOTHING | {"noise_sd": 0.05})
    predictor = Predictor(plan, 0.25, torch.device("cpu"))
    torch.manual_seed(4)
    noise = predictor.output(
        partial(method.passes_of, lambda x: x), np.zeros((12, 32, 32), np.float32)
    )
    assert noise.shape == (12, 2, 32, 32)
    assert len(noise.unique()) > 0.99 * noise.numel()
