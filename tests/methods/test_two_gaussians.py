"""The toy of two Gaussians recovers the true posterior."""

import importlib.util
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def example(repository: Path) -> ModuleType:
    path = repository / "examples" / "two_gaussians.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_heat_maps_are_the_true_posterior_and_members_are_in_order(
    example: ModuleType, tmp_path: Path
) -> None:
    toy = example.run()
    assert toy.r_squared.keys() == {"count", "pattern"}
    assert min(toy.r_squared.values()) >= 0.98
    # from over-segmentation (a low threshold) to under-segmentation
    assert all(below < above for below, above in pairwise(toy.thresholds))
    assert toy.thresholds[0] < -1
    assert toy.thresholds[-1] > 1
    example.draw_figure(toy, tmp_path / "heat_map.png")
    assert (tmp_path / "heat_map.png").read_bytes().startswith(b"\x89PNG")


def test_true_posterior_is_half_in_the_middle(example: ModuleType) -> None:
    low, middle, high = example.true_posterior(example.np.array([-1.0, 0.0, 1.0]))
    assert middle == pytest.approx(0.5)
    assert low == pytest.approx(1 - high)
    assert high == pytest.approx(1 / (1 + example.np.exp(-2)))
