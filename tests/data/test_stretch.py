"""A stretch elongates the heart at its centre, folds nothing and can be undone."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardiouq.data.cases import make_case_table
from cardiouq.data.distortions import distort
from cardiouq.data.phantom.generate import ACDC_SCANNER, scan_subject
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.readers.scans import read_image, read_label
from cardiouq.data.stretch import Stretch
from cardiouq.errors import CardiouqError
from cardiouq.structures import STRUCTURES, mask_of
from tests.data.hearts import SPACING, heart

ACDC_ROOT = os.environ.get("CARDIOUQ_ACDC_ROOT", "")


STRETCHES = (0.2, 0.4, 0.6, 0.8)


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
