"""Data of one's own: nnU-Net's raw format, and a table of files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.data.case_table import read_case_table
from cardiouq.data.cases import make_case_table
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.readers.own import READ, RESERVED, find_csv, find_nnunet, nnunet_labels
from cardiouq.data.readers.scans import read_label
from cardiouq.data.split import select_test_cases, split_subjects
from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.structures import IGNORED, label_of
from cardiouq.study.schema import filled_in

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


def test_nnunet_s_testing_part_may_be_missing_if_it_is_optional(nnunet: Path) -> None:
    for file in (nnunet / "labelsTs").iterdir():
        file.unlink()
    needed = DataFolder("nnunet", nnunet, ["testing", "training"], subject="^(p[0-9])_")
    found, [problem] = find_nnunet(needed)
    assert "labelsTs: no labels *.nii.gz found" in problem
    assert find_nnunet(replace(needed, optional=["testing"])) == (found, [])


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


@pytest.mark.parametrize("pattern", ["", "^(p[0-9])_"])
def test_a_table_beside_nnunet_s_folders_has_every_case(nnunet: Path, pattern: str) -> None:
    rows = {"case": ["p1_a", "p2_a", "p2_b"], "subject": ["one", "two", "two"]}
    pd.DataFrame(rows).to_csv(nnunet / "cases.csv", index=False)
    _, [problem] = find_nnunet(DataFolder("nnunet", nnunet, subject=pattern))
    assert problem.startswith(f"{nnunet / 'cases.csv'}: no row of 1 case(s)")
    assert "['p1_b']" in problem


def test_a_table_beside_nnunet_s_folders_moves_no_case_to_another_part(nnunet: Path) -> None:
    rows = pd.DataFrame({"case": ["p1_a", "p1_b", "p2_a", "p2_b"], "subject": list("1122")})
    data = DataFolder("nnunet", nnunet)
    rows.assign(part=["training", "", "", "testing"]).to_csv(nnunet / "cases.csv", index=False)
    _, [problem] = find_nnunet(data)
    assert "case 'p2_b' is of the part 'testing', but its label lies in labelsTr" in problem
    rows.assign(part=["training", "", "", ""]).to_csv(nnunet / "cases.csv", index=False)
    found, problems = find_nnunet(data)
    assert problems == []
    assert {case.part for case in found} == {"training"}


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


def test_phases_that_no_clinical_quantity_is_read_off_are_said_once_for_a_data_set(
    table: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table.to_csv(tmp_path / "cases.csv", index=False)
    data = {"d": DataFolder("csv", tmp_path, labels=VALUES)}
    make_case_table(data)  # ED, ES and no phase
    assert "phases" not in caplog.text
    table.assign(phase=["diastole", "systole", "ED"]).to_csv(tmp_path / "cases.csv", index=False)
    make_case_table(data)
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.getMessage().startswith(
        "d: 2 cases are at the phases ['diastole', 'systole']; clinical quantities are read off ED "
        "and ES alone"
    )


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


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "RV": 1, "MYO": 2, "LV": 3, "ignore": 4},
        {"0": "background", "1": "RV", "2": "MYO", "3": "LV", "4": "ignore"},
        {"background": 0, "RV": 1, "MYO": 2, "LV": 3, "ignore": 200},
    ],
)
def test_nnunet_s_ignore_is_what_nobody_annotated(
    nnunet: Path, save: Save, caplog: pytest.LogCaptureFixture, labels: dict[str, Any]
) -> None:
    (nnunet / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    voxels = np.zeros((12, 14, 3), np.uint8)
    voxels[..., 2] = 200 if 200 in labels.values() else 4  # a slice that nobody looked at
    voxels[6:8, 4:8, 1] = 2
    save(nnunet / "labelsTr" / "p1_b.nii.gz", voxels)
    with caplog.at_level("INFO"):
        table = make_case_table({"d": DataFolder("nnunet", nnunet, subject="^(p[0-9])_")})
    assert table["ignored_voxels"].tolist() == [0, 12 * 14, 0, 0]
    assert "nobody annotated 168 voxels (8.3 %), in 1 of 4 cases" in caplog.text
    label = read_label(list(table.itertuples())[1])
    assert (label[2] == IGNORED).all()
    assert set(np.unique(label[:2])) == {0, label_of("MYO")}


@pytest.mark.parametrize("ignore", [[4], [4, 5], 3, 2, 0])
def test_ignore_that_nnunet_would_refuse_is_refused(nnunet: Path, ignore: Any) -> None:
    labels = {"background": 0, "RV": 1, "MYO": 2, "LV": 3, "ignore": ignore}
    (nnunet / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    with pytest.raises(CardiouqError, match=r"dataset\.json: label 'ignore' is .*largest is 3"):
        nnunet_labels(nnunet)


def test_a_region_cannot_hold_what_nobody_annotated(nnunet: Path) -> None:
    labels = {"background": 0, "heart": [1, 2, 4], "LV": 3, "ignore": 4}
    (nnunet / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    with pytest.raises(CardiouqError, match=r"label 'ignore' is 4; .*largest is 4"):
        nnunet_labels(nnunet)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["void", "Un-labeled", "DON'T CARE", "not annotated"])
def test_a_name_for_what_nobody_annotated_is_never_background_in_silence(
    nnunet: Path, name: str, version: int
) -> None:
    labels: dict[str, Any] = {"background": 0, **VALUES, name: 4}
    if version == 1:
        labels = {str(value): called for called, value in labels.items()}
    (nnunet / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    data = DataFolder("nnunet", nnunet, subject="^(p[0-9])_")
    with pytest.raises(ProblemsError, match="seems to be what nobody annotated") as caught:
        make_case_table({"d": data})
    assert str(nnunet / "dataset.json") in str(caught.value)
    for said in ({"ignore": name}, {"background": [name]}):
        told = DataFolder("nnunet", nnunet, subject="^(p[0-9])_", labels=said)
        assert len(make_case_table({"d": told})) == 4


@pytest.mark.parametrize("void", [[255], [254, 255], [9, 200]])
def test_a_table_of_files_says_which_values_nobody_annotated(
    table: pd.DataFrame, tmp_path: Path, save: Save, void: list[int]
) -> None:
    voxels = np.zeros((12, 14, 3), np.uint8)
    voxels[3:5, 4:8, 1] = 1
    for number, value in enumerate(void):
        voxels[number] = value
    save(tmp_path / "l" / "p2.nii.gz", voxels)
    table.to_csv(tmp_path / "cases.csv", index=False)
    with pytest.raises(ProblemsError, match="as `ignore` if nobody annotated these voxels"):
        make_case_table({"d": DataFolder("csv", tmp_path, labels=VALUES)})
    told = VALUES | {"ignore": void}
    cases = make_case_table({"d": DataFolder("csv", tmp_path, labels=told)})
    assert cases["ignored_voxels"].tolist() == [0, 0, len(void) * 14 * 3]
    label = read_label(list(cases.itertuples())[2])
    assert (label[..., : len(void)] == IGNORED).all()
    assert not (label[..., len(void) :] == IGNORED).any()


def test_a_case_that_nobody_annotated_at_all_is_an_error(
    table: pd.DataFrame, tmp_path: Path, save: Save
) -> None:
    save(tmp_path / "l" / "p1ES.nii.gz", np.full((12, 14, 3), 255, np.uint8))
    table.to_csv(tmp_path / "cases.csv", index=False)
    data = DataFolder("csv", tmp_path, labels=VALUES | {"ignore": 255})
    with pytest.raises(ProblemsError, match=r"p1ES\.nii\.gz: every voxel is 'ignore'"):
        make_case_table({"d": data})


def write_table(tmp_path: Path, save: Save, names: list[str], **columns: str) -> DataFolder:
    """A table of a case of each name, with the same texts in other columns."""
    rows = []
    for number, name in enumerate(names):
        files = (tmp_path / f"{kind}{number}.nii.gz" for kind in ("image", "label"))
        write_scan(save, *files, seed=number)
        about = {"image": f"image{number}.nii.gz", "label": f"label{number}.nii.gz"}
        rows.append({"case": name, "subject": name, **about, **columns})
    pd.DataFrame(rows).to_csv(tmp_path / "cases.csv", index=False)
    return DataFolder("csv", tmp_path, labels=VALUES)


@pytest.mark.parametrize(
    "columns",
    [
        {"subject": "two\fpages"},
        {"pathology": "\N{RIGHT-TO-LEFT OVERRIDE}ABC"},
        {"vendor": "x" * 300},
        {"centre": "bell\x07"},
        {"site": "zero\N{ZERO WIDTH SPACE}width"},
        {"next\x85line": "1"},
    ],
)
def test_text_that_no_table_could_show_is_one_error(
    tmp_path: Path, save: Save, columns: dict[str, str]
) -> None:
    data = write_table(tmp_path, save, ["a", "b"], **columns)
    with pytest.raises(ProblemsError) as caught:
        make_case_table({"d": data})
    [problem] = caught.value.problems
    assert problem.startswith(f"{tmp_path}: ")
    assert "no names" in problem
    assert "expected 1 to 200 visible characters" in problem
    assert problem.isprintable()


@pytest.mark.parametrize("text", ["two\nlines", "two \r\n lines", "two\tlines"])
def test_line_break_in_a_cell_is_read_as_a_space(tmp_path: Path, save: Save, text: str) -> None:
    [row] = make_case_table({"d": write_table(tmp_path, save, ["a"], note=text)}).to_dict("records")
    assert row["note"] == "two lines"


def test_texts_that_mean_something_elsewhere_are_listed_as_they_are(
    tmp_path: Path, save: Save, hostile: list[str]
) -> None:
    for text in hostile[::4]:
        data = write_table(tmp_path, save, ["a"], subject=text, pathology=text, site=text)
        [row] = make_case_table({"d": data}).to_dict("records")
        assert {row[name] for name in ("subject", "pathology", "site")} == {text}


@pytest.mark.parametrize("names", [["P1", "p1"], ["case_A", "other", "CASE_a"], ["x.y", "X.Y"]])
def test_cases_that_differ_in_capitals_alone_are_one_error(
    tmp_path: Path, save: Save, names: list[str]
) -> None:
    with pytest.raises(ProblemsError) as caught:
        make_case_table({"d": write_table(tmp_path, save, names)})
    [problem] = caught.value.problems
    assert "differ in capital letters alone" in problem
    assert "other" not in problem.split("cases ")[1].split("]")[0]


@pytest.mark.parametrize(
    "subjects",
    [["P01", "p01"], ["M\u00fcller", "Mu\u0308ller"], ["a b", "a  b"], ["other", "x", "X"]],
)
def test_subjects_that_are_spelt_in_two_ways_are_one_error(
    tmp_path: Path, save: Save, subjects: list[str]
) -> None:
    data = write_table(tmp_path, save, [f"case{number}" for number in range(len(subjects))])
    rows = pd.read_csv(tmp_path / "cases.csv").assign(subject=subjects)
    rows.to_csv(tmp_path / "cases.csv", index=False)
    with pytest.raises(ProblemsError, match="write a subject in one way") as caught:
        make_case_table({"d": data})
    [problem] = caught.value.problems
    assert str(sorted(subjects[-2:])) in problem


def test_subjects_of_two_data_sets_who_share_a_name_are_one_error(
    tmp_path: Path, save: Save
) -> None:
    """Evaluation would leave one out with the other."""
    folders = {name: tmp_path / name for name in ("ours", "theirs")}
    for name, folder in folders.items():
        folder.mkdir()
        write_table(folder, save, [f"{name}_001", f"{name}_002"])
    data = {name: DataFolder("csv", folder, labels=VALUES) for name, folder in folders.items()}
    assert len(make_case_table(data)) == 4
    for name, folder in folders.items():
        table = pd.read_csv(folder / "cases.csv").assign(subject=["001", f"{name}_002"])
        table.to_csv(folder / "cases.csv", index=False)
    with pytest.raises(ProblemsError, match="rename them in one of the two") as caught:
        make_case_table(data)
    [problem] = caught.value.problems
    assert problem.startswith(f"{folders['theirs'] / 'image0.nii.gz'}: subjects ['001'] of ")


def test_a_table_of_files_keeps_a_column_name(tmp_path: Path, save: Save) -> None:
    [row] = make_case_table({"d": write_table(tmp_path, save, ["a"], name="mine")}).to_dict(
        "records"
    )
    assert (row["case"], row["name"]) == ("a", "mine")


def test_every_column_of_the_program_s_is_reserved_or_read(tmp_path: Path, save: Save) -> None:
    cases = make_case_table({"d": write_table(tmp_path, save, [f"p{n}" for n in range(4)])})
    split = split_subjects(cases, "d", 0.5, 0, seed=1)
    test_sets = filled_in({"s": {"dataset": "d", "split": "validation"}}, "test_sets")
    tested = select_test_cases(cases, split, test_sets)
    columns = {*cases, *split, *tested}
    assert len(columns) > 25
    assert columns <= READ | RESERVED


@pytest.mark.parametrize("column", ["split", "test_set", "image_hash", "dataset", "slices"])
def test_column_of_the_program_s_is_refused(tmp_path: Path, save: Save, column: str) -> None:
    data = write_table(tmp_path, save, ["a"], **{column: "mine"})
    with pytest.raises(ProblemsError, match="Rename") as caught:
        make_case_table({"d": data})
    assert f"columns ['{column}']" in str(caught.value)
