"""Each flag is raised by what it is named after, and not by clean scans."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cardiouq.data import integrity
from cardiouq.data.cases import make_case_table
from cardiouq.data.integrity import (
    FLAGS,
    OUTLIER,
    check_cases,
    count_flags,
    measure_cases,
    read_checks,
)
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.split import hold_out, split_subjects

NOT_SPLIT = pd.DataFrame(columns=["dataset", "subject", "pathology", "split"])
LABELS = {"RV": 1, "MYO": 2, "LV": 3}
PIXEL = 3.0
"""mm; with it structures have plausible volumes."""


class Scans:
    """Clean scans of some subjects at two phases, to be changed in memory.

    Attributes:
        images, labels: (subject, phase) -> voxels (columns, rows, slices).
        pixel: (subject, phase) -> mm.
    """

    def __init__(self, root: Path, save: Callable[..., None], subjects: int) -> None:
        self.root, self.save = root, save
        self.images, self.labels, self.pixel = {}, {}, {}
        for number in range(1, subjects + 1):
            for index, phase in enumerate(("ED", "ES")):
                scan = f"p{number:02d}", phase
                rng = np.random.default_rng(10 * number + index)
                self.images[scan] = (rng.integers(1, 900, (30, 32, 6)) + 20 * number).astype("i2")
                self.labels[scan] = np.zeros((30, 32, 6), np.uint8)
                size = 8 - 2 * index + number % 3  # smaller at ES
                for value in LABELS.values():
                    place = slice(10 * value - 9, 10 * value - 2), slice(2, 2 + size), slice(1, 5)
                    self.labels[scan][place] = value
                self.labels[scan][0, number, 2] = LABELS["RV"]  # so that all labels differ
                self.pixel[scan] = PIXEL

    def cases(self, dataset: str = "own", labels: dict[str, int] = LABELS) -> pd.DataFrame:
        rows = ["image,label,subject,phase"]
        for (subject, phase), image in self.images.items():
            affine = np.diag([self.pixel[subject, phase]] * 2 + [8.0, 1.0])
            names = [f"{subject}_{phase}{kind}.nii" for kind in ("", "_gt")]
            self.save(self.root / names[0], image, affine)
            self.save(self.root / names[1], self.labels[subject, phase], affine)
            rows.append(f"{names[0]},{names[1]},{subject},{phase}")
        (self.root / "cases.csv").write_text("\n".join(rows), encoding="utf-8")
        return make_case_table({dataset: DataFolder("csv", self.root, labels=labels)})

    def check(self, split: pd.DataFrame = NOT_SPLIT) -> pd.DataFrame:
        return check_cases(self.cases(), split)


@pytest.fixture
def scans(tmp_path: Path, save: Callable[..., None]) -> Scans:
    return Scans(tmp_path, save, 12)


def flagged(checks: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(checks["case"], checks["flag"], strict=True))


def found(checks: pd.DataFrame) -> list[str]:
    return sorted(checks["found"])


def test_clean_scans_have_no_flag(scans: Scans, tmp_path: Path) -> None:
    checks = scans.check()
    assert checks.empty
    assert (count_flags(checks) == 0).all(axis=None)
    checks.to_csv(tmp_path / "checks.csv", index=False)
    pd.testing.assert_frame_equal(read_checks(tmp_path / "checks.csv"), checks, check_dtype=False)


def test_copies_of_an_image_say_whose_and_on_which_side(scans: Scans) -> None:
    scans.images["p03", "ES"] = scans.images["p02", "ED"]
    split = pd.DataFrame({"dataset": "own", "subject": ["p02", "p03"], "split": ["train", "test"]})
    checks = scans.check(split)
    assert flagged(checks) == {("p02_ED", "duplicate image"), ("p03_ES", "duplicate image")}
    assert found(checks) == ["same as p02_ED of p02 (train)", "same as p03_ES of p03 (test)"]
    assert set(checks["expected"].str.extract(r"\((\w+)\)")[0]) == {"train", "test"}
    counts = count_flags(checks).loc["duplicate image"]
    assert (counts["cases"], counts["subjects"]) == (2, 2)


def test_copies_in_another_data_set_and_of_subjects_that_are_not_split(
    scans: Scans, tmp_path: Path, save: Callable[..., None]
) -> None:
    other = Scans(tmp_path / "other", save, 2)
    other.images = {(f"q{key[0]}", key[1]): image**2 % 1201 for key, image in other.images.items()}
    other.labels = {(f"q{key[0]}", key[1]): label for key, label in other.labels.items()}
    other.pixel = dict.fromkeys(other.images, PIXEL)
    other.images["qp01", "ED"] = scans.images["p05", "ED"]
    both = pd.concat([scans.cases(), other.cases("other")], ignore_index=True)
    checks = check_cases(both, NOT_SPLIT)
    of_images = checks[checks["flag"] == "duplicate image"]
    assert found(of_images) == [
        "same as p05_ED of p05 (not split)",
        "same as qp01_ED of qp01 (not split)",
    ]
    assert set(checks["flag"]) == {"duplicate image", "duplicate label"}  # other's are scans's


def test_a_subject_s_own_copy_is_no_duplicate(scans: Scans) -> None:
    scans.images["p02", "ES"] = scans.images["p02", "ED"]
    assert scans.check().empty


def test_many_copies_are_named_in_part(scans: Scans) -> None:
    for subject, phase in scans.images:
        scans.images[subject, phase] = scans.images["p01", "ED"]
    assert scans.check()["found"].str.endswith("(not split), ...").all()


def test_copies_of_a_label_but_not_empty_ones(scans: Scans) -> None:
    scans.labels["p03", "ES"] = scans.labels["p02", "ES"]
    for subject in ("p07", "p08"):
        scans.labels[subject, "ES"] = np.zeros_like(scans.labels[subject, "ES"])
    checks = scans.check()
    copies = checks[checks["flag"] == "duplicate label"]
    assert found(copies) == [
        "same as p02_ES of p02 (not split)",
        "same as p03_ES of p03 (not split)",
    ]


def shrink(scans: Scans) -> None:
    """The RV of one case to a sixth."""
    label = scans.labels["p06", "ES"]
    label[3:][label[3:] == 1] = 0


def test_volume_outlier_is_of_the_structure_that_is_off(scans: Scans) -> None:
    shrink(scans)
    [row] = scans.check().to_dict("records")
    assert (row["case"], row["flag"]) == ("p06_ES", "volume outlier")
    assert row["found"].startswith("RV 3.")
    assert row["expected"].endswith(" ml")


def test_few_cases_have_no_outliers(tmp_path: Path, save: Callable[..., None]) -> None:
    scans = Scans(tmp_path, save, 9)
    shrink(scans)
    assert scans.check().empty


def test_outliers_are_those_of_the_modified_z_score(scans: Scans) -> None:
    rng = np.random.default_rng(5)
    measured = pd.concat([measure_cases(scans.cases())] * 10, ignore_index=True)
    for structure in LABELS:
        measured[f"{structure} ml"] = np.exp(rng.standard_t(3, len(measured)))
    expected = set()
    for _, alike in measured.groupby("phase"):
        for structure in LABELS:
            logs = np.log(alike[f"{structure} ml"])
            off = logs - logs.median()
            score = 0.67449 * off / off.abs().median()
            expected |= {f"{structure} {np.exp(x):.3g} ml" for x in logs[score.abs() > OUTLIER]}
    assert len(expected) > 5
    assert {text for _, text, _ in FLAGS["volume outlier"].find(measured)} == expected


@pytest.mark.parametrize(("factor", "is_flagged"), [(0.1, True), (1, False), (300, True)])
def test_volumes_that_no_heart_has(scans: Scans, factor: float, is_flagged: bool) -> None:
    """All scans are alike, so none is an outlier: a wrong unit in every header."""
    measured = measure_cases(scans.cases())
    measured[[f"{name} ml" for name in LABELS]] *= factor
    flags = list(FLAGS["implausible volume"].find(measured))
    assert {text.split()[0] for _, text, _ in flags} == (set(LABELS) if is_flagged else set())
    assert len(flags) == 72 * is_flagged


def test_visits_are_compared_each_with_itself(scans: Scans) -> None:
    """A ventricle that is larger at the second visit's ES than at the first one's ED."""
    measured = measure_cases(scans.cases()).query("subject in ('p01', 'p02')").copy()
    measured["visit"] = measured["subject"].map({"p01": "v1", "p02": "v2"})
    measured["subject"] = "p01"
    measured["LV ml"] = [100.0, 60.0, 200.0, 120.0]
    find = FLAGS["ED smaller than ES"].find
    assert list(find(measured)) == []
    assert len(list(find(measured.assign(visit="")))) == 1


def test_missing_structure(scans: Scans) -> None:
    label = scans.labels["p06", "ES"]
    label[label == LABELS["MYO"]] = 0
    checks = scans.check()
    assert flagged(checks) == {("p06_ES", "structure missing")}
    assert found(checks) == ["no MYO in any slice"]


def test_gap_between_labelled_slices(scans: Scans) -> None:
    scans.labels["p06", "ES"][:, :, 3] = 0
    checks = scans.check()
    assert flagged(checks) == {("p06_ES", "missing slices")}
    assert found(checks) == ["no label in slice 3 (from 0)"]


def test_few_labelled_slices(scans: Scans) -> None:
    scans.labels["p02", "ES"][:, :, 3:] = 0
    checks = scans.check()
    assert flagged(checks) == {("p02_ES", "few slices")}
    assert found(checks) == ["2 slice(s) with a label"]


def test_empty_label_is_missing_everything(scans: Scans) -> None:
    scans.labels["p06", "ES"][:] = 0
    checks = scans.check()
    assert flagged(checks) == {("p06_ES", "structure missing"), ("p06_ES", "few slices")}
    assert len(checks) == 4


@pytest.mark.parametrize(("voxels", "is_flagged"), [(57, False), (58, True)])
def test_more_than_a_hundredth_of_voxels_at_the_maximum(
    scans: Scans, voxels: int, is_flagged: bool
) -> None:
    scans.images["p06", "ES"].reshape(-1)[:voxels] = 2000  # of 5760
    checks = scans.check()
    assert flagged(checks) == ({("p06_ES", "intensities")} if is_flagged else set())


def test_negative_intensities_and_flat_slices(scans: Scans) -> None:
    scans.images["p06", "ES"][0, 0, 0] = -5
    scans.images["p07", "ED"][:, :, 4] = 300
    checks = scans.check()
    assert flagged(checks) == {("p06_ES", "intensities"), ("p07_ED", "intensities")}
    assert found(checks) == ["least intensity -5", "one value all over slice 4 (from 0)"]


def test_mean_and_sd_unlike_the_data_set_s(scans: Scans) -> None:
    scans.images["p06", "ES"] += 5000
    [row] = scans.check().to_dict("records")
    assert (row["case"], row["flag"]) == ("p06_ES", "intensities")
    assert row["found"].startswith("mean/SD 2")


def test_standardised_images_are_flagged_for_what_is_negative_alone(scans: Scans) -> None:
    for scan, image in scans.images.items():
        scans.images[scan] = ((image - image.mean()) / image.std()).astype(np.float32)
    checks = scans.check()
    assert set(checks["flag"]) == {"intensities"}
    assert len(checks) == 24
    assert checks["found"].str.startswith("least intensity -").all()


@pytest.mark.parametrize(("pixel", "is_flagged"), [(6.0, False), (6.1, True), (1.4, True)])
def test_spacing_more_than_twice_or_less_than_half(
    scans: Scans, pixel: float, is_flagged: bool
) -> None:
    scans.pixel["p06", "ES"] = pixel
    checks = scans.check()
    of_spacing = checks[checks["flag"] == "spacing outlier"]
    assert list(of_spacing["case"]) == ["p06_ES"] * is_flagged
    if is_flagged:
        assert found(of_spacing) == [f"8 x {pixel} x {pixel} mm (z, y, x)"]
        assert "8 x 3 x 3 mm" in of_spacing["expected"].item()


def test_swapped_phases(scans: Scans) -> None:
    labels = scans.labels
    labels["p06", "ED"], labels["p06", "ES"] = labels["p06", "ES"], labels["p06", "ED"]
    checks = scans.check()
    assert flagged(checks) == {("p06_ED", "ED smaller than ES")}
    assert checks["found"].item().startswith("LV ")


def test_structures_of_any_name(scans: Scans, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = measure_cases(scans.cases()).rename(columns={"RV ml": "atrium ml"})
    measured = measured.drop(columns=["LV ml", "MYO ml"]).assign(side="train")
    measured.loc[3, "atrium ml"] = 0.0
    measured.loc[4, "atrium ml"] = 1000.0
    monkeypatch.setattr(integrity, "STRUCTURES", ("atrium",))
    raised = {
        (name, row["case"]) for name, flag in FLAGS.items() for row, _, _ in flag.find(measured)
    }
    assert raised == {
        ("structure missing", measured["case"][3]),
        ("volume outlier", measured["case"][4]),
    }


ACDC = os.environ.get("CARDIOUQ_ACDC_ROOT", "")
needs_acdc = pytest.mark.skipif(not ACDC, reason="CARDIOUQ_ACDC_ROOT is not set")


@pytest.fixture(scope="module")
def acdc() -> pd.DataFrame:
    return make_case_table({"acdc": DataFolder("acdc", Path(ACDC))})


@needs_acdc
def test_acdc_s_flags_are_those_that_the_documentation_names(acdc: pd.DataFrame) -> None:
    checks = check_cases(acdc, split_subjects(acdc, "acdc", 0.2, 0, seed=2022))
    flags = checks.groupby(["flag", "subject"]).size().to_dict()
    assert flags == {
        ("duplicate image", "patient074"): 2,
        ("duplicate image", "patient076"): 2,
        ("intensities", "patient068"): 2,
        ("spacing outlier", "patient057"): 2,
        ("volume outlier", "patient030"): 1,
    }


@needs_acdc
@pytest.mark.parametrize("seed", range(10))
def test_acdc_has_no_subject_and_no_copy_of_one_on_two_sides(acdc: pd.DataFrame, seed: int) -> None:
    split = split_subjects(acdc, "acdc", 0.2, 0.2, seed)
    for sides in (split, *(hold_out(acdc, split, fold, 5, seed) for fold in range(5))):
        assert sides["subject"].is_unique
        on_sides = acdc.merge(sides, on=["dataset", "subject"])
        for content in ("subject", "image_identity", "label_identity"):
            assert (on_sides.groupby(content)["split"].nunique() == 1).all()


def test_what_nobody_annotated_is_no_structure_no_gap_and_no_volume(scans: Scans) -> None:
    scans.labels["p02", "ED"][:, :, 2] = 9  # a slice between labelled ones
    scans.labels["p03", "ED"][:10, :10] = 9  # the whole of one structure and more
    scans.labels["p04", "ES"][:, :, :-1][scans.labels["p04", "ES"][:, :, :-1] == 0] = 9
    cases = scans.cases(labels=LABELS | {"ignore": 9})
    assert check_cases(cases, NOT_SPLIT).empty
    measured = measure_cases(cases).set_index("case")
    in_part = cases.set_index("case")["ignored_voxels"] > 0
    assert in_part[in_part].index.tolist() == ["p02_ED", "p03_ED", "p04_ES"]
    volumes = measured[[f"{name} ml" for name in LABELS]]
    assert volumes[in_part].isna().all(axis=None)
    assert (volumes[~in_part] > 0).all(axis=None)
