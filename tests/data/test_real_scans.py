"""The real ACDC and M&Ms, where their folders are named in the environment."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import binary_dilation

from cardiouq.data.cases import make_case_table
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.readers.scans import read_label
from cardiouq.data.split import hold_out, split_subjects
from cardiouq.files.documents import read_yaml
from cardiouq.structures import label_of

ROOTS = {
    layout: os.environ.get(f"CARDIOUQ_{layout.upper()}_ROOT", "") for layout in ("acdc", "mnms")
}
needs_acdc = pytest.mark.skipif(not ROOTS["acdc"], reason="CARDIOUQ_ACDC_ROOT is not set")
needs_mnms = pytest.mark.skipif(not ROOTS["mnms"], reason="CARDIOUQ_MNMS_ROOT is not set")


@pytest.fixture(scope="module")
def acdc() -> pd.DataFrame:
    return make_case_table({"acdc": DataFolder("acdc", Path(ROOTS["acdc"]))})


@pytest.fixture(scope="module")
def mnms() -> pd.DataFrame:
    return make_case_table({"mnms": DataFolder("mnms", Path(ROOTS["mnms"]))})


def contact(label: Any, structure: str, other: int) -> int:
    """In-plane neighbours of a structure that have a label."""
    around = binary_dilation(label == label_of(structure)) & (label != label_of(structure))
    return int(np.count_nonzero(around & (label == other)))


def assert_myo_encloses_lv(cases: pd.DataFrame) -> None:
    for case in cases.itertuples(index=False):
        section = read_label(case)[case.slices // 2]
        assert (section == label_of("LV")).any(), case.case
        myo = contact(section, "LV", label_of("MYO"))
        assert myo > 0.9 * (myo + contact(section, "LV", 0)), case.case
        assert contact(section, "LV", 0) < contact(section, "MYO", 0), case.case
        assert contact(section, "RV", label_of("LV")) <= 2, case.case


@needs_acdc
def test_acdc_has_a_hundred_subjects_at_two_phases(acdc: pd.DataFrame) -> None:
    assert len(acdc) == 200
    assert acdc["subject"].nunique() == 100
    assert acdc.drop_duplicates("subject")["pathology"].value_counts().to_dict() == dict.fromkeys(
        ("DCM", "HCM", "MINF", "NOR", "RV"), 20
    )
    assert acdc["spacing_y"].between(0.7, 2).all()
    assert acdc["spacing_z"].between(5, 10).all()


@needs_acdc
def test_nnunet_s_raw_form_of_acdc_is_the_same_data_set(
    acdc: pd.DataFrame, repository: Path, tmp_path: Path
) -> None:
    """The case table and the splits of the laptop study, whose names and labels stand in
    `cases.csv` and `dataset.json`."""
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    rows = []
    for case in acdc.itertuples(index=False):
        name = Path(case.image).name.removesuffix(".nii.gz")
        (tmp_path / "imagesTr" / f"{name}_0000.nii.gz").symlink_to(Path(case.image).absolute())
        (tmp_path / "labelsTr" / f"{name}.nii.gz").symlink_to(Path(case.label).absolute())
        about = {"subject": case.subject, "phase": case.phase, "pathology": case.pathology}
        rows.append({"case": name, "name": case.case, **about})
    pd.DataFrame(rows).sample(frac=1, random_state=1).to_csv(tmp_path / "cases.csv", index=False)
    labels = {"background": 0, "RV": 1, "MLV": 2, "LVC": 3}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    wanted = {"MYO": "MLV", "LV": "LVC"}
    raw = make_case_table({"acdc": DataFolder("nnunet", tmp_path, labels=wanted)})
    paths = ["image", "label"]
    pd.testing.assert_frame_equal(
        raw.drop(columns=paths), acdc.drop(columns=paths), check_like=True
    )
    laptop = read_yaml(repository / "config" / "studies" / "laptop.yaml")
    ours, theirs = (
        split_subjects(table, "acdc", laptop["split"]["validation_fraction"], 0, laptop["seed"])
        for table in (raw, acdc)
    )
    pd.testing.assert_frame_equal(ours, theirs)
    for fold in range(4):
        pd.testing.assert_frame_equal(
            hold_out(raw, ours, fold, 4, laptop["seed"]),
            hold_out(acdc, theirs, fold, 4, laptop["seed"]),
        )


@needs_acdc
def test_acdc_is_split_into_eighty_and_twenty_alike_in_every_group(acdc: pd.DataFrame) -> None:
    split = split_subjects(acdc, "acdc", 0.2, 0, 2022)
    counts = split.groupby(["split", "pathology"]).size().unstack()
    assert (counts.loc["train"] == 16).all()
    assert (counts.loc["validation"] == 4).all()
    assert split["subject"].is_unique


@needs_acdc
def test_patients_with_the_same_images_are_on_one_side(acdc: pd.DataFrame) -> None:
    copies = ["patient074", "patient076"]
    rows = acdc[acdc["subject"].isin(copies)]
    assert rows["image_hash"].nunique() == 2
    assert rows["label_hash"].nunique() > 2
    for seed in range(10):
        split = split_subjects(acdc, "acdc", 0.2, 0, seed).set_index("subject")["split"]
        assert split[copies].nunique() == 1


@needs_acdc
def test_myocardium_encloses_the_left_ventricle_in_acdc(acdc: pd.DataFrame) -> None:
    assert_myo_encloses_lv(acdc)


@needs_mnms
def test_mnms_has_three_subjects_of_three_vendors(mnms: pd.DataFrame) -> None:
    assert len(mnms) == 6
    assert mnms["subject"].nunique() == 3
    assert set(mnms["vendor"]) == {"A", "B", "C"}


@needs_mnms
def test_myocardium_encloses_the_left_ventricle_in_mnms(mnms: pd.DataFrame) -> None:
    assert_myo_encloses_lv(mnms)
