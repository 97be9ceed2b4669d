"""The phantom looks like ACDC and M&Ms on disk, and like hearts in numbers."""

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from cardiouq.data.phantom.generate import (
    ACDC_SCANNER,
    MNMS_INFORMATION,
    Subject,
    coarser,
    generate,
    scan_subject,
)
from cardiouq.data.phantom.groups import GROUPS
from cardiouq.files.writing import visible

RV, MYO, LV = 1, 2, 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    generate(folder, acdc_subjects=5, mnms_subjects_per_vendor=2, seed=7)
    return folder


@pytest.fixture(scope="module")
def cohort() -> dict[str, list[Subject]]:
    return {
        group: [scan_subject(group, ACDC_SCANNER, seed) for seed in (11, 12, 13)]
        for group in GROUPS
    }


def millilitres(subject: Subject, phase: str, label: int) -> float:
    voxels = np.count_nonzero(subject.labels[phase] == label)
    return voxels * float(np.prod(subject.spacing)) / 1000


def mean_volume(subjects: list[Subject], phase: str, label: int) -> float:
    return float(np.mean([millilitres(subject, phase, label) for subject in subjects]))


def ejection_fraction(subject: Subject) -> float:
    return 1 - millilitres(subject, "ES", LV) / millilitres(subject, "ED", LV)


def read_info(folder: Path) -> dict[str, str]:
    return dict(
        line.split(": ") for line in (folder / "Info.cfg").read_text(encoding="utf-8").splitlines()
    )


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_acdc_layout(root: Path) -> None:
    folders = sorted((root / "acdc" / "training").iterdir())
    assert [folder.name for folder in folders] == [f"patient{n:03d}" for n in range(1, 6)]
    for folder in folders:
        info = read_info(folder)
        assert list(info) == ["ED", "ES", "Group", "Height", "NbFrame", "Weight"]
        frames = [f"{folder.name}_frame{int(info[phase]):02d}" for phase in ("ED", "ES")]
        expected = {f"{frame}{end}.nii.gz" for frame in frames for end in ("", "_gt")}
        assert {path.name for path in visible(folder.iterdir())} == expected | {"Info.cfg"}
        assert 1 <= int(info["ED"]) < int(info["ES"]) <= int(info["NbFrame"])
    assert {read_info(folder)["Group"] for folder in folders} == set(GROUPS)


def test_acdc_files_carry_types_labels_and_spacing(root: Path) -> None:
    for path in (root / "acdc").rglob("*_gt.nii.gz"):
        label = nib.load(path)
        image = nib.load(path.with_name(path.name.replace("_gt", "")))
        assert image.get_data_dtype() == np.int16
        assert label.get_data_dtype() == np.uint8
        assert image.shape == label.shape
        assert set(np.unique(np.asarray(label.dataobj))) == {0, RV, MYO, LV}
        x, y, z = image.header.get_zooms()
        assert x == y
        assert 1.8 <= x <= 2.5
        assert 8 <= z <= 10
        np.testing.assert_allclose(np.abs(np.diag(image.affine))[:3], (x, y, z), rtol=1e-6)
        np.testing.assert_array_equal(image.affine, label.affine)


def test_mnms_layout_and_label_order(root: Path) -> None:
    with (root / "mnms" / MNMS_INFORMATION).open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["External code", "VendorName", "Vendor", "Centre", "ED", "ES"]
    found = {(row["VendorName"], row["Vendor"], row["Centre"]) for row in rows}
    assert found == {("Siemens", "A", "1"), ("Philips", "B", "2"), ("Philips", "B", "3")}
    labeled = root / "mnms" / "Training" / "Labeled"
    assert {path.name for path in labeled.iterdir()} == {row["External code"] for row in rows}
    for row in rows:
        code = row["External code"]
        image = nib.load(labeled / code / f"{code}_sa.nii.gz")
        label = np.asarray(nib.load(labeled / code / f"{code}_sa_gt.nii.gz").dataobj)
        assert image.shape == label.shape
        assert image.ndim == 4
        at_ed = label[..., int(row["ED"])]
        # M&Ms numbers the left ventricle 1: the muscle encloses it, and shrinking empties it most.
        assert_enclosed(at_ed[..., at_ed.shape[2] // 2], inner=1, wall=2)
        assert np.count_nonzero(at_ed == 1) > np.count_nonzero(label[..., int(row["ES"])] == 1)


def assert_enclosed(plane: np.ndarray, *, inner: int, wall: int) -> None:
    cavity = plane == inner
    assert cavity.any()
    rim = ndimage.binary_dilation(cavity) & ~cavity
    assert np.mean(plane[rim] == wall) > 0.9


@pytest.mark.parametrize("group", GROUPS)
def test_muscle_encloses_the_left_ventricle_and_touches_the_right(
    cohort: dict[str, list[Subject]], group: str
) -> None:
    for subject in cohort[group]:
        plane = subject.labels["ED"][len(subject.labels["ED"]) // 2]
        assert_enclosed(plane, inner=LV, wall=MYO)
        rim = ndimage.binary_dilation(plane == RV, iterations=2)
        assert (plane[rim] == MYO).any()
        assert not (plane[ndimage.binary_dilation(plane == RV)] == LV).any()


def test_same_seed_same_bytes_and_other_seed_other_bytes(root: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    generate(again, acdc_subjects=5, mnms_subjects_per_vendor=2, seed=7)
    generate(other, acdc_subjects=1, mnms_subjects_per_vendor=1, seed=8)
    assert digests(again) == digests(root)
    assert not set(digests(other).values()) & set(digests(root).values())


def test_more_subjects_leave_the_first_as_they_were(root: Path, tmp_path: Path) -> None:
    generate(tmp_path, acdc_subjects=2, mnms_subjects_per_vendor=0, seed=7)
    fewer, more = digests(tmp_path / "acdc"), digests(root / "acdc")
    assert fewer.items() <= more.items()


def test_volumes_tell_the_groups_apart(cohort: dict[str, list[Subject]]) -> None:
    normal = cohort["NOR"]
    assert mean_volume(cohort["DCM"], "ED", LV) > 1.4 * mean_volume(normal, "ED", LV)
    assert mean_volume(cohort["HCM"], "ED", MYO) > 1.4 * mean_volume(normal, "ED", MYO)
    assert mean_volume(cohort["RV"], "ED", RV) > 1.3 * mean_volume(normal, "ED", RV)
    assert mean_volume(cohort["MINF"], "ED", LV) > mean_volume(normal, "ED", LV)


# Bernard et al. 2018, section III-A: NOR above 0.5, MINF and DCM below 0.4, HCM above 0.55; wider
# by what half a slice more or less at the base changes.
@pytest.mark.parametrize(
    ("group", "low", "high"),
    [
        ("NOR", 0.5, 0.7),
        ("MINF", 0.25, 0.46),
        ("DCM", 0.1, 0.33),
        ("HCM", 0.58, 0.8),
        ("RV", 0.45, 0.7),
    ],
)
def test_ejection_fraction(
    cohort: dict[str, list[Subject]], group: str, low: float, high: float
) -> None:
    fractions = [ejection_fraction(subject) for subject in cohort[group]]
    assert low < np.mean(fractions) < high
    assert 0.05 < min(fractions) < max(fractions) < 0.88
    for subject in cohort[group]:
        assert millilitres(subject, "ED", RV) > millilitres(subject, "ES", RV)


def test_muscle_is_incompressible(cohort: dict[str, list[Subject]]) -> None:
    for subjects in cohort.values():
        at_ed, at_es = (mean_volume(subjects, phase, MYO) for phase in ("ED", "ES"))
        assert at_es == pytest.approx(at_ed, rel=0.15)


def test_breath_holds_shift_image_and_label_together() -> None:
    def largest_jump(breath_hold_mm: float) -> float:
        scanner = replace(ACDC_SCANNER, breath_hold_mm=breath_hold_mm, noise=(0.0, 0.0))
        subject = scan_subject("DCM", scanner, 5)
        image, label = subject.images["ED"][2:7], subject.labels["ED"][2:7]
        for plane, structures in zip(image, label, strict=True):
            assert np.median(plane[structures == LV]) > 2 * np.median(plane[structures == MYO])
        centres = np.array([ndimage.center_of_mass(plane == LV) for plane in label])
        return float(np.abs(np.diff(centres, axis=0)).max() * subject.spacing[1])

    assert largest_jump(0.0) < 3
    assert largest_jump(8.0) > 6


def test_coarser_pixels_show_the_same_heart(cohort: dict[str, list[Subject]]) -> None:
    fine, coarse = cohort["NOR"][0], scan_subject("NOR", coarser(ACDC_SCANNER, 2), 11)
    expected = (fine.spacing[0], *(2 * size for size in fine.spacing[1:]))
    assert coarse.spacing == pytest.approx(expected, abs=1e-4)  # rounded
    for label in (RV, MYO, LV):
        ml = millilitres(fine, "ED", label)
        assert millilitres(coarse, "ED", label) == pytest.approx(ml, rel=0.05)
