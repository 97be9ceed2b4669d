"""Data of one's own: nnU-Net's raw format, and a table of files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.data.cases import make_case_table, read_case_table
from cardiouq.data.layouts import DataFolder
from cardiouq.data.own import find_csv, find_nnunet, nnunet_labels
from cardiouq.data.scans import read_label
from cardiouq.structures import label_of

Save = Callable[..., None]
VALUES = {"RV": 1, "MYO": 2, "LV": 3}


def write_scan(save: Save, image: Path, label: Path, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    save(image, rng.integers(1, 900, (12, 14, 3)).astype(np.int16))
    voxels = np.zeros((12, 14, 3), np.uint8)
    for value in (1, 2, 3):
        voxels[3 * value : 3 * value + 2, 4:8, 1] = value
    save(label, voxels)


@pytest.fixture
def nnunet(tmp_path: Path, save: Save) -> Path:
    """Two scans of each of two subjects, and one for testing."""
    for number, name in enumerate(("p1_a", "p1_b", "p2_a", "p2_b", "p3_a")):
        side = "Ts" if name.startswith("p3") else "Tr"
        image = tmp_path / f"images{side}" / f"{name}_0000.nii.gz"
        write_scan(save, image, tmp_path / f"labels{side}" / f"{name}.nii.gz", number)
    labels = {"background": 0, **VALUES}
    (tmp_path / "dataset.json").write_text(
        json.dumps({"labels": labels, "file_ending": ".nii.gz"}), encoding="utf-8"
    )
    return tmp_path


def test_subjects_are_read_off_the_names_of_nnunet_s_cases(nnunet: Path) -> None:
    data = DataFolder("nnunet", nnunet, ["training", "testing"], subject="^(p[0-9])_")
    found, problems = find_nnunet(data)
    assert problems == []
    assert [(c.case, c.subject, c.part, c.image.name) for c in found] == [
        ("p1_a", "p1", "training", "p1_a_0000.nii.gz"),
        ("p1_b", "p1", "training", "p1_b_0000.nii.gz"),
        ("p2_a", "p2", "training", "p2_a_0000.nii.gz"),
        ("p2_b", "p2", "training", "p2_b_0000.nii.gz"),
        ("p3_a", "p3", "testing", "p3_a_0000.nii.gz"),
    ]
    assert len(make_case_table({"d": data})) == 5


def test_nnunet_s_subjects_are_never_guessed(nnunet: Path) -> None:
    _, [problem] = find_nnunet(DataFolder("nnunet", nnunet))
    assert "nothing says which cases are of one subject" in problem
    _, [problem] = find_nnunet(DataFolder("nnunet", nnunet, subject="^(patient[0-9]+)_"))
    assert "finds nothing in 'p1_a'" in problem


def test_a_table_beside_nnunet_s_folders_says_more_of_each_case(nnunet: Path) -> None:
    names = ["p1_a", "p1_b", "p2_a", "p2_b"]
    rows = {"case": names, "name": ["one_ED", "one_ES", "two_ED", "two_ES"]}
    rows |= {
        "subject": ["one", "one", "two", "two"],
        "phase": ["ED", "ES"] * 2,
        "site": list("nsns"),
    }
    pd.DataFrame(rows).to_csv(nnunet / "cases.csv", index=False)
    table = make_case_table({"d": DataFolder("nnunet", nnunet)})
    assert table["case"].tolist() == rows["name"]
    assert table["subject"].tolist() == rows["subject"]
    assert table["phase"].tolist() == rows["phase"]
    assert table["site"].tolist() == rows["site"]


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "RV": 1, "wall": [2, 3]},
        {"0": "background", "1": "RV", "2": "wall"},  # the format's first version
    ],
)
def test_nnunet_s_labels_of_either_version(nnunet: Path, labels: dict[str, Any]) -> None:
    (nnunet / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    found = nnunet_labels(nnunet)
    assert set(found) == {"RV", "wall"}
    assert found["RV"] == 1


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"}', '{"labels": []}', "\x00"])
def test_broken_description_is_one_problem(nnunet: Path, text: str) -> None:
    (nnunet / "dataset.json").write_text(text, encoding="utf-8")
    _, [problem] = find_nnunet(DataFolder("nnunet", nnunet, subject="^(p[0-9])_"))
    assert problem.startswith(f"{nnunet / 'dataset.json'}: ")


@pytest.fixture
def table(tmp_path: Path, save: Save) -> pd.DataFrame:
    """Rows of `cases.csv`, whose scans are there."""
    rows = []
    for number, (subject, phase) in enumerate((("p1", "ED"), ("p1", "ES"), ("p2", ""))):
        name = f"{subject}{phase}"
        write_scan(save, tmp_path / f"{name}.nii.gz", tmp_path / "l" / f"{name}.nii.gz", number)
        row = {"image": f"{name}.nii.gz", "label": f"l/{name}.nii.gz", "subject": subject}
        rows.append(row | {"phase": phase, "site": "01"})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_table_of_files_in_any_dialect(
    table: pd.DataFrame, tmp_path: Path, separator: str, encoding: str
) -> None:
    table["operator"] = "Zoë"
    table.to_csv(tmp_path / "cases.csv", sep=separator, encoding=encoding, index=False)
    cases = make_case_table({"d": DataFolder("csv", tmp_path, labels=VALUES)})
    assert cases["case"].tolist() == ["p1_ED", "p1_ES", "p2"]
    assert cases["operator"].tolist() == ["Zoë"] * 3
    label = read_label(next(cases.itertuples()))
    assert [label[1, 5, column] for column in (3, 6, 9)] == [label_of(name) for name in VALUES]
    cases.to_csv(tmp_path / "written.csv", index=False)
    assert read_case_table(tmp_path / "written.csv")["site"].tolist() == ["01"] * 3


def test_a_part_of_a_table_is_used_if_it_is_asked_for(table: pd.DataFrame, tmp_path: Path) -> None:
    table.assign(part=["", "", "holiday"]).to_csv(tmp_path / "cases.csv", index=False)
    for parts, subjects in ((["training"], {"p1"}), (["training", "holiday"], {"p1", "p2"})):
        found, problems = find_csv(DataFolder("csv", tmp_path, parts))
        assert problems == []
        assert {case.subject for case in found} == subjects


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"subject": ["p1", "", "p2"]}, "line 3: ['subject'] empty"),
        ({"frame": ["", "first", ""]}, "line 3: frame 'first'"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(
    table: pd.DataFrame, tmp_path: Path, change: dict[str, list[str]], words: str
) -> None:
    table.assign(**change).to_csv(tmp_path / "cases.csv", index=False)
    _, [problem] = find_csv(DataFolder("csv", tmp_path))
    assert problem.startswith(f"{tmp_path / 'cases.csv'}, {words}")


def test_a_table_without_its_columns_says_which(table: pd.DataFrame, tmp_path: Path) -> None:
    table.drop(columns="subject").to_csv(tmp_path / "cases.csv", index=False)
    _, [problem] = find_csv(DataFolder("csv", tmp_path))
    assert "columns ['subject'] missing" in problem
