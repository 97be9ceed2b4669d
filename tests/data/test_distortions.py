"""Distortions of test scans do what their degree says, and nothing at degree 0."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import rice

from cardiouq.data.distortions import KINDS, distort
from cardiouq.errors import CardiouqError
from cardiouq.structures import FOREGROUND, IGNORED, mask_of
from tests.data.hearts import SPACING, heart


@pytest.fixture
def scan() -> tuple[Any, Any]:
    """A heart in textured tissue, 50 to 900, read-only."""
    label = heart()
    image = np.random.default_rng(0).uniform(50, 300, label.shape) + 200 * label
    image = image.astype(np.float32)
    for array in (image, label):
        array.flags.writeable = False
    return image, label


# Of every kind, also of one that is added


@pytest.mark.parametrize("kind", KINDS)
def test_degree_zero_keeps_every_bit(kind: str, scan: Any) -> None:
    image = scan[0] - 100  # also of intensities that no magnitude has
    for distorted, label in (
        distort(image, scan[1], kind, 0, SPACING, 1),
        KINDS[kind](image, scan[1], 0, SPACING, np.random.default_rng(1)),
    ):
        assert distorted.tobytes() == image.tobytes()
        assert label.tobytes() == scan[1].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_degree_near_zero_changes_next_to_nothing(kind: str, scan: Any) -> None:
    image, label = distort(*scan, kind, 1e-6, SPACING, 1)
    np.testing.assert_allclose(image, scan[0], atol=0.02)
    np.testing.assert_array_equal(label, scan[1])


@pytest.mark.parametrize("kind", KINDS)
def test_distorted_scan_is_a_scan_of_the_same_grid(kind: str, scan: Any) -> None:
    image, label = distort(*scan, kind, 0.5, SPACING, 1)
    assert (image.shape, image.dtype) == (scan[0].shape, np.float32)
    assert (label.shape, label.dtype) == (scan[1].shape, np.uint8)
    assert not np.allclose(image, scan[0], rtol=0.01)
    assert np.isfinite(image).all()
    one = (label > 0).astype(np.uint8) * 2  # a volume with MYO alone
    assert set(np.unique(distort(scan[0], one, kind, 0.5, SPACING, 1)[1])) == {0, 2}


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bits(kind: str, scan: Any) -> None:
    first, second = (distort(*scan, kind, 0.5, SPACING, 7) for _ in range(2))
    assert [array.tobytes() for array in first] == [array.tobytes() for array in second]


@pytest.mark.parametrize("kind", KINDS)
def test_degrees_of_one_seed_share_the_draw(kind: str, scan: Any) -> None:
    low, high = (distort(*scan, kind, degree, SPACING, 7)[0] for degree in (0.5, 0.501))
    assert np.linalg.norm(high - low) < 0.02 * np.linalg.norm(low - scan[0])


@pytest.mark.parametrize("kind", ["noise", "stretch", "bias_field", "ghosting"])
def test_another_seed_is_another_draw(kind: str, scan: Any) -> None:
    one, other = (distort(*scan, kind, 0.5, SPACING, seed)[0] for seed in (7, 8))
    assert np.linalg.norm(one - other) > 0.1 * np.linalg.norm(one - scan[0])


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"stretch"}))
def test_label_stays_where_the_anatomy_does(kind: str, scan: Any) -> None:
    np.testing.assert_array_equal(distort(*scan, kind, 0.5, SPACING, 1)[1], scan[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("degree", [-0.1, float("nan"), float("inf")])
def test_degree_is_a_number_from_zero(kind: str, degree: float, scan: Any) -> None:
    with pytest.raises(CardiouqError, match=kind):
        distort(*scan, kind, degree, SPACING, 1)


# Noise


@pytest.mark.parametrize("degree", [0.05, 0.07, 0.08, 0.10])
def test_noise_has_the_rice_distribution_s_mean_and_variance(degree: float) -> None:
    n, low, high = 200, 100, 2100
    levels = np.array([0, 0.05, 0.3, 1])  # Rayleigh at 0
    image = np.tile((low + (high - low) * levels)[:, None, None], (1, n, n)).astype(np.float32)
    noisy = distort(image, np.zeros(image.shape, np.uint8), "noise", degree, SPACING, 3)[0]
    scaled = (noisy.astype(float) - low) / (high - low)
    for level, values in zip(levels, scaled.reshape(4, -1), strict=True):
        mean, variance, excess = rice(level / degree, scale=degree).stats("mvk")
        # standard errors: about 0.5 % of the SD, and 0.7 % of the variance
        assert values.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance) / n)
        assert values.var() == pytest.approx(variance, abs=4 * variance * np.sqrt(excess + 2) / n)
        steps = np.corrcoef(values[:-1], values[1:])[0, 1]
        assert abs(steps) < 4 / n  # white


# Blur


@pytest.mark.parametrize("sigma", [1, 2, 3, 4])
def test_blur_spreads_a_point_by_sigma_pixels_within_its_slice(sigma: int) -> None:
    image = np.zeros((3, 61, 71), np.float32)
    image[1, 30, 35] = 1000
    blurred = distort(image, heart(), "blur", sigma, SPACING, 1)[0]
    assert not blurred[[0, 2]].any()
    rows, columns = np.indices(image.shape[1:])
    for offset in (rows - 30, columns - 35):
        width = np.sqrt((blurred[1] * offset**2).sum() / blurred.sum())
        assert width == pytest.approx(sigma, rel=2e-3)  # cut off at four sigma
    assert blurred.sum() == pytest.approx(1000, rel=1e-4)


# Stretch


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_nobody_annotated_stays_so_and_is_no_part_of_the_heart(kind: str) -> None:
    whole = heart()
    label = whole.copy()
    label[:, :, :10] = IGNORED  # far from the heart, where a stretch moves next to nothing
    image = np.random.default_rng(0).random(label.shape, np.float32)
    plain, expected = distort(image, whole, kind, 0.5, SPACING, 3)
    changed, found = distort(image, label, kind, 0.5, SPACING, 3)
    np.testing.assert_array_equal(changed, plain)
    assert set(np.unique(found)) == {0, 1, 2, 3, IGNORED}
    np.testing.assert_array_equal(mask_of(found, FOREGROUND), expected > 0)
    assert (found[:, :, :9] == IGNORED).all()
    assert not (found[:, :, 12:] == IGNORED).any()


# Bias field


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_bias_field_is_a_cubic_whose_logarithm_has_the_range(degree: float) -> None:
    image = np.full((5, 40, 30), 300, np.float32)
    nothing = np.zeros(image.shape, np.uint8)
    log = np.log(distort(image, nothing, "bias_field", degree, SPACING, 5)[0].astype(float) / 300)
    assert np.ptp(log) == pytest.approx(degree, rel=1e-5)
    assert log.mean() == pytest.approx(0, abs=1e-6)
    z, y, x = (axis.ravel() / 40 for axis in np.indices(image.shape))
    powers = [(i, j, k) for i in range(4) for j in range(4 - i) for k in range(4 - i - j)]
    cubic = np.stack([z**i * y**j * x**k for i, j, k in powers], axis=1)
    fitted = cubic @ np.linalg.lstsq(cubic, log.ravel())[0]
    np.testing.assert_allclose(fitted, log.ravel(), atol=1e-5)


def test_bias_field_multiplies(scan: Any) -> None:
    image, label = scan
    field = distort(np.ones_like(image), label, "bias_field", 1, SPACING, 5)[0]
    np.testing.assert_allclose(
        distort(image, label, "bias_field", 1, SPACING, 5)[0], image * field, rtol=1e-5
    )


# Ghosting


@pytest.mark.parametrize("degree", [0.1, 0.2, 0.3, 0.4])
def test_two_ghosts_of_the_degree_s_intensity_lie_a_quarter_of_the_image_away(
    degree: float,
) -> None:
    image = np.zeros((2, 64, 80), np.float32)
    image[0, 26:38, 33:47] = np.random.default_rng(0).uniform(200, 800, (12, 14))
    axes = set()
    for seed in range(12):
        ghosted = distort(image, np.zeros(image.shape, np.uint8), "ghosting", degree, SPACING, seed)
        rest = ghosted[0] - image
        ghosts = {
            axis: np.roll(image, image.shape[axis] // 4, axis)
            + np.roll(image, -image.shape[axis] // 4, axis)
            for axis in (1, 2)
        }
        [axis] = [a for a in ghosts if np.allclose(rest, degree * ghosts[a], atol=0.01)]
        axes.add(axis)
        energy = (rest.astype(float) ** 2).sum() / (image.astype(float) ** 2).sum()
        assert energy == pytest.approx(2 * degree**2, rel=1e-4)
    assert axes == {1, 2}


# Thick slices


@pytest.mark.parametrize(
    ("degree", "expected"),
    [
        (0.5, [1.2, 6, 14, 26.4]),  # weights 1/4, 1, 1/4; 1, 1/4 at the ends
        (1, [2, 6, 15, 24]),  # 1/2, 1, 1/2
        (2, [3, 6, 16, 21]),  # 1, 1, 1
        (9, [12, 12, 12, 12]),  # a slab of ten slices over a volume of four
    ],
)
def test_thick_slices_are_means_over_the_slab(degree: float, expected: list[float]) -> None:
    pattern = np.array([[1, 2], [3, -4]], np.float32)
    image = np.array([0, 6, 12, 30], np.float32)[:, None, None] * pattern
    thick = distort(image, np.zeros(image.shape, np.uint8), "thick_slices", degree, SPACING, 1)[0]
    np.testing.assert_allclose(thick, np.array(expected)[:, None, None] * pattern, rtol=1e-6)
