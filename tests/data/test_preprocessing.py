"""What networks see: z-scored intensities on the plan's grid, the heart where it was."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass

from cardiouq.data.cases import make_case_table
from cardiouq.data.plan import Plan
from cardiouq.data.preprocessing import (
    centre_crop,
    normalise,
    preprocess_case,
    resample_image,
    resample_label,
    resampled_shape,
    training_intensity,
)
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.readers.scans import read_image
from cardiouq.errors import CardiouqError
from cardiouq.structures import IGNORED


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> Any:
    rows, columns = np.indices(shape)
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def heart(shape: tuple[int, int] = (90, 80)) -> Any:
    """One slice with a ring of MYO around LV, and RV beside it."""
    label = np.zeros((1, *shape), np.uint8)
    label[0][disc(shape, (44, 26), 12)] = 1
    label[0][disc(shape, (44, 46), 16)] = 2
    label[0][disc(shape, (44, 46), 10)] = 3
    return label


def test_intensities_have_zero_mean_and_unit_deviation_per_volume() -> None:
    image = np.random.default_rng(0).gamma(2, 300, (5, 30, 40)).astype(np.float32)
    scored = normalise(image)
    assert scored.mean() == pytest.approx(0, abs=1e-4)
    assert scored.std() == pytest.approx(1, abs=1e-4)
    assert np.corrcoef(scored.ravel(), image.ravel())[0, 1] == pytest.approx(1)
    np.testing.assert_allclose(normalise(image * 7 + 3), scored, atol=1e-3)


@pytest.mark.parametrize("intensity", [None, (3.0, 2.0)])
def test_a_border_of_zeros_changes_no_intensity_inside(
    intensity: tuple[float, float] | None,
) -> None:
    image = np.random.default_rng(0).gamma(2, 300, (5, 30, 40)).astype(np.float32)
    image[2, 10:20, 10:20] = 0  # dark, but no border
    bordered = np.pad(image, ((1, 0), (20, 5), (0, 60)))
    scored = normalise(bordered, intensity)
    np.testing.assert_array_equal(scored[1:, 20:-5, :-60], normalise(image, intensity))
    assert np.isfinite(normalise(np.zeros_like(image), intensity)).all()


@pytest.mark.parametrize(
    ("shape", "spacing", "target", "expected"),
    [
        ((256, 216), (1.5, 1.5), (1.5, 1.5), (256, 216)),
        ((256, 216), (1.5, 1.5), (3.0, 3.0), (128, 108)),
        ((100, 80), (1.25, 1.0), (1.5, 2.0), (83, 40)),
        ((100, 80), (2.0, 1.0), (1.0, 2.0), (200, 40)),
        ((3, 2), (1.0, 1.0), (9.0, 9.0), (1, 1)),
    ],
)
def test_resampled_shape_keeps_the_field_of_view(
    shape: tuple[int, int],
    spacing: tuple[float, float],
    target: tuple[float, float],
    expected: tuple[int, int],
) -> None:
    assert resampled_shape(shape, spacing, target) == expected


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(40, 150), columns=st.integers(40, 150))
def test_resampling_keeps_shape_range_and_slices_apart(rows: int, columns: int) -> None:
    image = np.zeros((3, 60, 50), np.float32)
    image[1] = 5
    resampled = resample_image(image, (rows, columns))
    assert resampled.shape == (3, rows, columns)
    assert resampled.dtype == np.float32
    np.testing.assert_allclose(resampled[[0, 2]], 0, atol=1e-5)
    np.testing.assert_allclose(resampled[1], 5, atol=1e-4)


@pytest.mark.parametrize("shape", [(60, 53), (90, 80), (135, 120), (180, 40)])
def test_centre_of_mass_stays_where_it_was(shape: tuple[int, int]) -> None:
    label = heart()
    image = resample_image((label == 3).astype(np.float32), shape)
    resampled = resample_label(label, shape)
    pixel = np.array([90, 80]) / shape  # size of a new pixel in old ones
    before = np.array(center_of_mass(label[0] == 3)) + 0.5
    for after in (image[0], resampled[0] == 3):
        moved = (np.array(center_of_mass(after)) + 0.5) * pixel - before
        assert np.abs(moved).max() < 0.3, moved


@pytest.mark.parametrize("shape", [(72, 64), (135, 120)])
def test_label_that_goes_there_and_back_overlaps_with_itself(shape: tuple[int, int]) -> None:
    label = heart()
    back = resample_label(resample_label(label, shape), (90, 80))
    assert back.dtype == np.uint8
    for value in (1, 2, 3):
        both = np.count_nonzero((back == value) & (label == value))
        dice = 2 * both / (np.count_nonzero(back == value) + np.count_nonzero(label == value))
        assert dice > 0.95, value


def test_resampling_invents_no_label_between_two() -> None:
    label = np.zeros((1, 40, 40), np.uint8)
    label[0, :, 20:] = 3  # a mean of 0 and 3 would be 1 or 2
    assert set(np.unique(resample_label(label, (57, 57)))) == {0, 3}


def test_what_nobody_annotated_is_resampled_as_a_class_of_its_own() -> None:
    label = np.zeros((1, 40, 40), np.uint8)
    label[0, :, 10:20] = 3
    label[0, :, 20:] = IGNORED  # nothing between 3 and 255 may come of it
    for shape in ((57, 57), (33, 21)):
        resampled = resample_label(label, shape)
        assert set(np.unique(resampled)) == {0, 3, IGNORED}
        assert (resampled == IGNORED).mean() == pytest.approx(0.5, abs=0.03)
    # of two shares alike, the unknown one counts: no voxel is taken for known that half is not
    assert (resample_label(np.array([[[0, IGNORED]]], np.uint8), (1, 1)) == IGNORED).all()


def test_a_crop_that_leaves_nothing_annotated_is_an_error(
    acdc: Any, plan: Plan, tmp_path: Path, save: Callable[..., None]
) -> None:
    folder = acdc.add(1)
    label = np.full((12, 14, 3), 4, np.uint8)
    label[0] = 1
    save(folder / "patient001_frame01_gt.nii.gz", label)
    data = DataFolder("acdc", acdc.root, labels={"ignore": 4})
    case = next(make_case_table({"d": data}).itertuples(index=False))
    preprocess_case(case, replace(plan, spacing=(1.25, 1.5)), tmp_path, with_label=True)
    small = replace(plan, spacing=(1.25, 1.5), crop=(8, 8))
    with pytest.raises(CardiouqError, match=r"frame01_gt.*'ignore' on the plan's grid and in its"):
        preprocess_case(case, small, tmp_path, with_label=True)


def test_same_grid_is_left_alone() -> None:
    image = np.random.default_rng(0).normal(size=(2, 20, 30)).astype(np.float32)
    np.testing.assert_array_equal(resample_image(image, (20, 30)), image)


def test_case_is_written_on_the_plan_s_grid(acdc: Any, plan: Plan, tmp_path: Path) -> None:
    acdc.add(1)
    case = next(make_case_table({"d": DataFolder("acdc", acdc.root)}).itertuples(index=False))
    preprocess_case(case, replace(plan, spacing=(2.5, 3.0)), tmp_path, with_label=True)
    image = np.load(tmp_path / "patient001_ED_image.npy")
    label = np.load(tmp_path / "patient001_ED_label.npy")
    assert image.shape == label.shape == (3, 7, 6)  # 14 x 1.25 / 2.5, 12 x 1.5 / 3
    assert (image.dtype, label.dtype) == (np.float32, np.uint8)


def test_image_is_the_same_whatever_the_label(
    acdc: Any, plan: Plan, tmp_path: Path, save: Callable[..., None]
) -> None:
    folder = acdc.add(1)
    case = next(make_case_table({"d": DataFolder("acdc", acdc.root)}).itertuples(index=False))
    preprocess_case(case, replace(plan, spacing=(2.0, 2.0)), tmp_path, with_label=True)
    first = (tmp_path / "patient001_ED_image.npy").read_bytes()
    save(folder / "patient001_frame01_gt.nii.gz", np.zeros((12, 14, 3), np.uint8))
    [case, _] = make_case_table({"d": DataFolder("acdc", acdc.root)}).itertuples(index=False)
    preprocess_case(case, replace(plan, spacing=(2.0, 2.0)), tmp_path, with_label=True)
    assert (tmp_path / "patient001_ED_image.npy").read_bytes() == first
    assert np.load(tmp_path / "patient001_ED_label.npy").max() == 0


def test_label_of_a_test_scan_is_not_even_read(acdc: Any, plan: Plan, tmp_path: Path) -> None:
    folder = acdc.add(1)
    [case, _] = make_case_table({"d": DataFolder("acdc", acdc.root)}).itertuples(index=False)
    (folder / "patient001_frame01_gt.nii.gz").unlink()
    preprocess_case(case, replace(plan, spacing=(2.0, 2.0)), tmp_path, with_label=False)
    assert (tmp_path / "patient001_ED_image.npy").is_file()
    assert not (tmp_path / "patient001_ED_label.npy").exists()


@pytest.mark.parametrize(("normalisation", "power"), [("training_sd", 1), ("training_variance", 2)])
def test_training_set_s_moments_are_over_all_pixels_and_the_same_for_every_scan(
    acdc: Any, plan: Plan, tmp_path: Path, normalisation: str, power: int
) -> None:
    for number in (1, 2):
        acdc.add(number)
    cases = list(make_case_table({"d": DataFolder("acdc", acdc.root)}).itertuples(index=False))
    pixels = np.concatenate([read_image(case).ravel() for case in cases]).astype(np.float64)
    intensity = training_intensity(cases, normalisation)
    assert intensity == pytest.approx((pixels.mean(), pixels.std() ** power), rel=1e-9)
    own_grid = replace(plan, spacing=(1.25, 1.5), intensity=intensity)
    for case in cases:
        preprocess_case(case, own_grid, tmp_path, with_label=False)
        np.testing.assert_allclose(
            np.load(tmp_path / f"{case.case}_image.npy"),
            (read_image(case) - pixels.mean()) / pixels.std() ** power,
            rtol=1e-4,
            atol=1e-4,
        )


def test_without_it_each_scan_has_its_own_moments_and_plans_are_as_they_were(plan: Plan) -> None:
    assert training_intensity([], "volume") is None
    assert "intensity" not in plan.to_json()  # a run's fingerprint holds this text
    with_moments = replace(plan, intensity=(3.5, 2.0))
    assert Plan.from_json(with_moments.to_json().encode(), Path("plan.json")) == with_moments


@settings(max_examples=40, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 60)] * 2), crop=st.tuples(*[st.integers(1, 60)] * 2))
def test_centre_is_in_the_middle_and_no_larger_than_the_slice(
    shape: tuple[int, int], crop: tuple[int, int]
) -> None:
    for part, n, wanted in zip(centre_crop(shape, crop), shape, crop, strict=True):
        assert part.stop - part.start == min(n, wanted)
        assert part.start >= 0
        assert 0 <= (n - part.stop) - part.start <= 1
    assert centre_crop(shape, None) == (slice(0, shape[0]), slice(0, shape[1]))


def test_arrays_are_of_the_plan_s_crop(acdc: Any, plan: Plan, tmp_path: Path) -> None:
    acdc.add(1)
    case: Any = next(make_case_table({"d": DataFolder("acdc", acdc.root)}).itertuples())
    for name, crop in (("whole", None), ("cropped", (8, 6))):
        (tmp_path / name).mkdir()
        preprocess_case(case, replace(plan, crop=crop), tmp_path / name, with_label=True)
    for kind in ("image", "label"):
        whole, cropped = (
            np.load(tmp_path / name / f"{case.case}_{kind}.npy") for name in ("whole", "cropped")
        )
        assert whole.shape == (3, 12, 12)
        np.testing.assert_array_equal(cropped, whole[:, 2:10, 3:9])
