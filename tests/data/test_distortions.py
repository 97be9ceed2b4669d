"""Distortions of test scans do what their degree says, and nothing at degree 0."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rice

from cardiouq.data.cases import make_case_table
from cardiouq.data.distortions import KINDS, distort
from cardiouq.data.phantom.generate import ACDC_SCANNER, scan_subject
from cardiouq.data.readers.layouts import DataFolder
from cardiouq.data.readers.scans import read_image, read_label
from cardiouq.data.stretch import Stretch
from cardiouq.errors import CardiouqError
from cardiouq.structures import FOREGROUND, IGNORED, STRUCTURES, mask_of

ACDC_ROOT = os.environ.get("CARDIOUQ_ACDC_ROOT", "")
SPACING = (8.0, 1.25, 1.5)
STRETCHES = (0.2, 0.4, 0.6, 0.8)


def heart(
    shape: tuple[int, int, int] = (3, 61, 71), centre: tuple[int, int] = (30, 34), scale: int = 1
) -> Any:
    """A ring of MYO around LV, and RV beside it, as seen with square pixels."""
    rows, columns = np.indices(shape[1:])
    label = np.zeros(shape, np.uint8)
    for value, offset, radius in ((1, -7, 7), (2, 2, 8), (3, 2, 5)):
        disc = (rows - centre[0]) ** 2 + (columns - centre[1] - offset * scale) ** 2
        label[:, disc <= (radius * scale) ** 2] = value
    return label


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


def found_at(label: Any, degree: float, seed: int = 4) -> Any:
    """Where, y and x in mm, each pixel of a stretched image was before: (2, rows, columns)."""
    pixel = np.array(SPACING[1:])[:, None, None]
    position = (np.indices(label.shape[1:]) * pixel).astype(np.float32)
    return np.stack(
        [
            distort(np.stack([axis] * len(label)), label, "stretch", degree, SPACING, seed)[0][0]
            for axis in position
        ]
    )


def jacobian(found: Any) -> Any:
    """(rows, columns, 2, 2): change of either coordinate in mm along y and x in mm."""
    return np.stack(
        [np.stack(np.gradient(axis, *SPACING[1:]), axis=-1) for axis in found.astype(float)],
        axis=-2,
    )


@pytest.mark.parametrize("degree", STRETCHES)
def test_stretch_elongates_by_one_plus_degree_at_the_centre_and_in_one_direction(
    degree: float,
) -> None:
    label = np.zeros((1, 121, 121), np.uint8)
    label[0, 30:81, 45:86] = 3  # its middle is pixel (55, 65)
    _, sizes, _ = np.linalg.svd(jacobian(found_at(label, degree))[55, 65])
    np.testing.assert_allclose(1 / sizes, [1, 1 + degree], rtol=0.01)


def test_stretch_leaves_the_far_field_where_it_was_and_folds_nothing() -> None:
    label = heart((1, 181, 181), (60, 90))
    pixel = np.array(SPACING[1:])[:, None, None]
    home = np.indices(label.shape[1:]) * pixel
    warp = Stretch.around_heart(label, SPACING, angle=0.3, degree=0.8)
    assert warp.width == pytest.approx(14, rel=0.2)  # mm, of a heart 28 mm by 20 mm
    far = np.hypot(*(home - np.array(warp.centre)[:, None, None])) > 5 * warp.width
    for degree in (0.2, 0.8, 2.2):
        found = found_at(label, degree)
        assert np.abs(found - home)[:, far].max() < 1e-2
        assert np.abs(found - home).max() > 0.25 * warp.width * degree / (1 + degree)
        assert np.linalg.det(jacobian(found)).min() > 0


def test_the_limit_is_where_folding_begins() -> None:
    line = np.stack([np.zeros(40001), np.linspace(-200, 200, 40001)])
    slope = np.gradient(Stretch((0, 0), 44, 0, Stretch.LIMIT - 1e-6).target(line)[1], 0.01)
    assert 0 <= slope.min() < 1e-4
    with pytest.raises(CardiouqError, match=r"below 2\.24"):
        Stretch((0, 0), 44, 0, Stretch.LIMIT)


@pytest.mark.parametrize("degree", [*STRETCHES, 2.2])
def test_source_is_the_inverse_of_target(degree: float) -> None:
    points = np.random.default_rng(0).uniform(-150, 150, (2, 5000))
    warp = Stretch((20, -10), 44, 1.1, degree)
    assert np.abs(warp.target(points) - points).max() > 4
    np.testing.assert_allclose(warp.source(warp.target(points)), points, atol=1e-6)
    np.testing.assert_allclose(warp.target(warp.source(points)), points, atol=1e-6)


@pytest.mark.parametrize("degree", STRETCHES)
def test_label_is_stretched_as_the_image_is(degree: float) -> None:
    label = heart((1, 121, 141), (60, 68), scale=2)
    for structure in STRUCTURES:
        image = mask_of(label, structure).astype(np.float32)
        stretched, after = distort(image, label, "stretch", degree, SPACING, 2)
        assert overlap(stretched > 0.5, mask_of(after, structure)) > 0.98
        assert overlap(image > 0.5, mask_of(after, structure)) < 0.97


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


@pytest.mark.parametrize("shift", [(0, 0), (6, -9)])
def test_stretch_is_centred_on_the_heart_or_else_on_the_image(shift: tuple[int, int]) -> None:
    label = heart(centre=(30 + shift[0], 34 + shift[1]))
    centre = Stretch.around_heart(label, SPACING, angle=0, degree=0.4).centre
    base = Stretch.around_heart(heart(), SPACING, angle=0, degree=0.4).centre
    np.testing.assert_allclose(np.subtract(centre, base), np.multiply(shift, SPACING[1:]))
    nothing = Stretch.around_heart(np.zeros_like(label), SPACING, angle=0, degree=0.4)
    assert nothing.centre == (30 * 1.25, 35 * 1.5)


def overlap(a: Any, b: Any) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def assert_comes_back(
    label: Any, spacing: tuple[float, float, float], angle: float, degree: float
) -> None:
    warp = Stretch.around_heart(label, spacing, angle=angle, degree=degree)
    there = warp.label(label, spacing)
    back = warp.label(there, spacing, inverse=True)
    assert overlap(label > 0, there > 0) < 0.99
    for structure in STRUCTURES:
        assert overlap(mask_of(label, structure), mask_of(back, structure)) > 0.98


@pytest.mark.parametrize(("degree", "angle"), [(0.2, 0.4), (0.8, 2.0)])
def test_stretched_phantom_comes_back(degree: float, angle: float) -> None:
    subject = scan_subject("NOR", ACDC_SCANNER, 1)
    for label in subject.labels.values():
        assert_comes_back(label, subject.spacing, angle, degree)


@pytest.mark.skipif(not ACDC_ROOT, reason="CARDIOUQ_ACDC_ROOT is not set")
def test_stretched_acdc_comes_back() -> None:
    cases = make_case_table({"acdc": DataFolder("acdc", Path(ACDC_ROOT))})
    for degree, case in zip((0.4, 0.8), cases.iloc[7::92].itertuples(index=False), strict=False):
        spacing = (case.spacing_z, case.spacing_y, case.spacing_x)
        image, label = read_image(case), read_label(case)
        assert_comes_back(label, spacing, 2 * degree, degree)
        warp = Stretch.around_heart(label, spacing, angle=2 * degree, degree=degree)
        back = warp.image(warp.image(image, spacing), spacing, inverse=True)
        assert np.corrcoef(back[label > 0], image[label > 0])[0, 1] > 0.99


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
