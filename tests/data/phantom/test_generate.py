"""The phantom looks like ACDC and M&Ms on disk, and like hearts in numbers."""

import csv
import hashlib
from dataclasses import replace
from math import cos, exp, radians, sin
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from cardiouq.data.noise import add_rician_noise
from cardiouq.data.phantom.anatomy import add_heart, contours
from cardiouq.data.phantom.generate import (
    ACDC_SCANNER,
    MNMS_INFORMATION,
    MNMS_SCANNERS,
    Subject,
    generate,
    scan_subject,
)
from cardiouq.data.phantom.groups import GROUPS, draw_heart
from cardiouq.data.phantom.signal import (
    RELAXATION,
    Scanner,
    Tissue,
    bssfp_signal,
    tissue_signals,
)
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


def test_infarct_is_thin_and_does_not_thicken() -> None:
    heart = draw_heart("MINF", np.random.default_rng(3), 171)
    angle = np.linspace(-np.pi, np.pi, 360, dtype=np.float32)[None, None]
    turned = heart.septum_direction - angle
    x = (30 * np.cos(turned)).astype(np.float32)
    y = (30 * np.sin(turned)).astype(np.float32)
    z = np.array([heart.infarct_level * heart.length], np.float32)[:, None, None]
    x, y = x + heart.tilt[0] * z, y + heart.tilt[1] * z
    ed, es = contours(heart, "ED", x, y, z), contours(heart, "ES", x, y, z)
    thickness = ed.epicardium - ed.endocardium
    motion = (ed.endocardium - es.endocardium) / ed.endocardium
    at = np.argmax(np.cos(ed.psi - heart.infarct_angle))
    remote = np.argmin(np.cos(ed.psi - heart.infarct_angle))
    assert thickness.flat[at] < 0.75 * thickness.flat[remote]
    assert motion.flat[at] < 0.5 * motion.flat[remote]


def test_thick_slices_mix_tissues() -> None:
    heart = draw_heart("NOR", np.random.default_rng(1), 171)
    axis = np.arange(-60, 60, 2, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    z = np.array([0.85 * heart.length], np.float32)

    def blood_and_label(thickness: float) -> tuple[np.ndarray, np.ndarray]:
        fractions = np.zeros((len(Tissue), 1, *x.shape), np.float32)
        fractions[Tissue.LUNG] = 1
        label = add_heart(
            fractions, heart, "ED", x[None], y[None], z, pixel=2.0, thickness=thickness
        )
        np.testing.assert_allclose(fractions.sum(axis=0), 1, atol=1e-5)
        return fractions[Tissue.BLOOD], label

    thin, _ = blood_and_label(0.1)
    thick, label = blood_and_label(12.0)
    mixed = [np.count_nonzero((blood > 0.2) & (blood < 0.8)) for blood in (thin, thick)]
    assert mixed[1] > 1.2 * mixed[0]
    assert set(np.unique(label)) >= {0, MYO, LV}


def test_bssfp_signal_of_blood_by_hand() -> None:
    blood = RELAXATION[Tissue.BLOOD]
    e1, e2, flip = exp(-3 / blood.t1), exp(-3 / blood.t2), radians(60)
    by_hand = blood.density * sin(flip) * (1 - e1) / (1 - (e1 - e2) * cos(flip) - e1 * e2)
    by_hand *= exp(-1.5 / blood.t2)
    assert bssfp_signal(blood, 60, 3.0, 1.5) == pytest.approx(by_hand, rel=1e-9)
    # For TR far below T1 and T2: M0 sin a / (1 + cos a + (1 - cos a) T1 / T2).
    limit = sin(flip) / (1 + cos(flip) + (1 - cos(flip)) * blood.t1 / blood.t2)
    assert bssfp_signal(blood, 60, 1e-3, 0.0) == pytest.approx(blood.density * limit, rel=1e-4)


@pytest.mark.parametrize("scanner", [ACDC_SCANNER, *MNMS_SCANNERS], ids=lambda s: s.vendor)
def test_contrast_between_tissues(scanner: Scanner) -> None:
    flip = float(np.mean(scanner.flip_degrees))
    signal = tissue_signals(scanner, np.random.default_rng(0), flip)
    assert signal[Tissue.AIR] == 0
    assert signal[Tissue.BLOOD] > 1.7 * signal[Tissue.MYOCARDIUM]
    assert signal[Tissue.FAT] > signal[Tissue.LIVER] > signal[Tissue.MYOCARDIUM]
    assert signal[Tissue.LUNG] < 0.5 * signal[Tissue.MYOCARDIUM]


def test_rician_noise_has_rayleigh_background_and_gaussian_foreground() -> None:
    rng = np.random.default_rng(0)
    sd = 3.0
    background = add_rician_noise(rng, np.zeros(200_000, np.float32), sd)
    assert background.mean() == pytest.approx(sd * np.sqrt(np.pi / 2), rel=0.01)
    assert np.mean(background**2) == pytest.approx(2 * sd**2, rel=0.01)
    bright = add_rician_noise(rng, np.full(200_000, 100, np.float32), sd)
    assert bright.std() == pytest.approx(sd, rel=0.02)
    # Mean square of a Rice distribution: signal^2 + 2 sd^2.
    assert np.mean(bright.astype(np.float64) ** 2) == pytest.approx(100**2 + 2 * sd**2, rel=1e-3)


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
