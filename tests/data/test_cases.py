"""Bad input is found before anything long starts, each with one clear error, all at once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from cardiouq.data.cases import make_case_table
from cardiouq.data.readers.adapters import ADAPTERS
from cardiouq.data.readers.found import DataFolder
from cardiouq.errors import CardiouqError, ProblemsError

Damage = Callable[[Path], tuple[Path, str]]
"""Damages a patient's folder; returns the file that the error must name, and words of it."""


def rewrite(path: Path, change: Callable[[Any], Any], affine: Any = None) -> Path:
    image = nib.load(path)
    voxels = change(np.asarray(image.dataobj))
    nib.save(nib.Nifti1Image(voxels, image.affine if affine is None else affine), path)
    return path


def image_of(folder: Path) -> Path:
    return folder / f"{folder.name}_frame01.nii.gz"


def label_of(folder: Path) -> Path:
    return folder / f"{folder.name}_frame01_gt.nii.gz"


def missing_label(folder: Path) -> tuple[Path, str]:
    label_of(folder).unlink()
    return label_of(folder), "missing"


def missing_image(folder: Path) -> tuple[Path, str]:
    image_of(folder).unlink()
    return image_of(folder), "missing"


def label_of_another_shape(folder: Path) -> tuple[Path, str]:
    return rewrite(label_of(folder), lambda v: v[:-1]), "(11, 14, 3)"


def label_of_another_affine(folder: Path) -> tuple[Path, str]:
    affine = np.diag([-1.5, -1.25, 9.0, 1.0])
    return rewrite(label_of(folder), lambda v: v, affine), "voxel size"


def unknown_label_value(folder: Path) -> tuple[Path, str]:
    return rewrite(label_of(folder), lambda v: np.where(v == 3, 4, v).astype(np.uint8)), "[4]"


def label_between_values(folder: Path) -> tuple[Path, str]:
    return rewrite(label_of(folder), lambda v: np.where(v == 3, 1.5, v).astype(np.float32)), "[1.5]"


def nan_image(folder: Path) -> tuple[Path, str]:
    return rewrite(image_of(folder), lambda v: np.where(v == v.max(), np.nan, v)), "NaN"


def constant_image(folder: Path) -> tuple[Path, str]:
    return rewrite(image_of(folder), lambda v: np.full_like(v, 7)), "every voxel is 7"


def image_with_frames(folder: Path) -> tuple[Path, str]:
    return rewrite(image_of(folder), lambda v: np.stack([v, v], -1)), "expected 3 dimensions"


def truncated_image(folder: Path) -> tuple[Path, str]:
    content = image_of(folder).read_bytes()
    image_of(folder).write_bytes(content[: len(content) // 2])
    return image_of(folder), "cannot be read"


def empty_label_file(folder: Path) -> tuple[Path, str]:
    label_of(folder).write_bytes(b"")
    return label_of(folder), "cannot be read"


def text_instead_of_image(folder: Path) -> tuple[Path, str]:
    image_of(folder).write_text("404 not found", encoding="utf-8")
    return image_of(folder), "cannot be read"


def info_without_phases(folder: Path) -> tuple[Path, str]:
    (folder / "Info.cfg").write_text("Group: NOR\nES: 9\n", encoding="utf-8")
    return folder / "Info.cfg", "`ED:`"


def info_with_words(folder: Path) -> tuple[Path, str]:
    (folder / "Info.cfg").write_text("ED: first\nES: 9\nGroup: NOR\n", encoding="utf-8")
    return folder / "Info.cfg", "`ED: first`"


def no_info(folder: Path) -> tuple[Path, str]:
    (folder / "Info.cfg").unlink()
    return folder / "Info.cfg", "missing"


DAMAGES = (
    missing_label,
    missing_image,
    label_of_another_shape,
    label_of_another_affine,
    unknown_label_value,
    label_between_values,
    nan_image,
    constant_image,
    image_with_frames,
    truncated_image,
    empty_label_file,
    text_instead_of_image,
    info_without_phases,
    info_with_words,
    no_info,
)


def problems_of(*folders: DataFolder) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        make_case_table({f"data{i}": folder for i, folder in enumerate(folders)})
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize("damage", DAMAGES, ids=[damage.__name__ for damage in DAMAGES])
def test_damage_is_one_error_that_names_the_file(acdc: Any, damage: Damage) -> None:
    acdc.add(1)
    file, words = damage(acdc.add(2))
    [problem] = problems_of(DataFolder("acdc", acdc.root))
    assert problem.startswith(f"{file}: ")
    assert words in problem


def test_scans_without_damage_are_no_error(acdc: Any, mnms: Any) -> None:
    acdc.add(1)
    mnms.add("A0B1C2")
    roots = {"in": DataFolder("acdc", acdc.root), "out": DataFolder("mnms", mnms.root)}
    assert len(make_case_table(roots)) == 4


def test_affines_that_differ_by_rounding_are_no_error(acdc: Any) -> None:
    folder = acdc.add(1)
    affine = np.diag([-1.5, -1.25, 8.0, 1.0]) + 1e-5
    rewrite(label_of(folder), lambda v: v, affine)
    assert len(make_case_table({"d": DataFolder("acdc", acdc.root)})) == 2


def test_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    [problem] = problems_of(DataFolder("acdc", tmp_path / "empty"))
    assert str(tmp_path / "empty") in problem
    assert "training/patientNNN" in problem
    [problem] = problems_of(DataFolder("mnms", tmp_path / "empty"))
    assert "Dataset_Information" in problem


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    [problem] = problems_of(DataFolder("acdc", tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere") in problem


def test_folder_named_one_level_too_deep_says_what_to_point_at(acdc: Any) -> None:
    acdc.add(1)
    [problem] = problems_of(DataFolder("acdc", acdc.root / "training"))
    assert "point at the folder that holds" in problem


def test_subject_without_a_row_is_named(mnms: Any) -> None:
    mnms.add("A0B1C2")
    mnms.add("D3E4F5")
    mnms.rows = mnms.rows[:1]
    mnms.write_table()
    [problem] = problems_of(DataFolder("mnms", mnms.root))
    assert str(mnms.table) in problem
    assert "D3E4F5" in problem


def test_missing_column_is_named(mnms: Any) -> None:
    mnms.add("A0B1C2")
    mnms.rows = [{k: v for k, v in row.items() if k != "Centre"} for row in mnms.rows]
    mnms.write_table()
    [problem] = problems_of(DataFolder("mnms", mnms.root))
    assert str(mnms.table) in problem
    assert "Centre" in problem


def test_subject_with_two_rows_is_named(mnms: Any) -> None:
    mnms.add("A0B1C2")
    mnms.rows.append(mnms.rows[0] | {"ED": 1})
    mnms.write_table()
    problems = problems_of(DataFolder("mnms", mnms.root))
    assert str(mnms.table) in problems[0]
    assert "A0B1C2" in problems[0]


@pytest.mark.parametrize("frame", ["", "x", "-1", "1.0"])
def test_frame_that_is_no_index_is_named(mnms: Any, frame: str) -> None:
    mnms.add("A0B1C2")
    mnms.rows[0]["ED"] = frame
    mnms.write_table()
    [problem] = problems_of(DataFolder("mnms", mnms.root))
    assert str(mnms.table) in problem
    assert repr(frame) in problem


def test_frame_out_of_range_names_file_and_number(mnms: Any) -> None:
    folder = mnms.add("A0B1C2", ed=0, es=4)
    [problem] = problems_of(DataFolder("mnms", mnms.root))
    assert str(folder / "A0B1C2_sa.nii.gz") in problem
    assert "frame 4 is asked for, but it has 4" in problem


def test_same_case_in_two_data_sets_is_named(acdc: Any) -> None:
    acdc.add(1)
    with pytest.raises(CardiouqError, match="patient001_ED"):
        make_case_table(
            {"one": DataFolder("acdc", acdc.root), "two": DataFolder("acdc", acdc.root)}
        )


def test_all_problems_are_listed_at_once(acdc: Any, mnms: Any, tmp_path: Path) -> None:
    expected = [damage(acdc.add(number)) for number, damage in enumerate(DAMAGES, start=1)]
    acdc.add(99)  # one patient is well
    mnms.add("A0B1C2", es=4)
    mnms.add("D3E4F5")
    mnms.rows = mnms.rows[:1]
    mnms.write_table()
    expected.append((mnms.root / "Training/Labeled/A0B1C2/A0B1C2_sa.nii.gz", "frame 4"))
    expected.append((mnms.table, "no row for subject D3E4F5"))
    other = type(mnms)(tmp_path / "other")
    other.add("G6H7I8")
    other.rows = [{"External code": "G6H7I8"}]
    other.write_table()
    expected.append((other.table, "columns"))
    (tmp_path / "empty").mkdir()
    expected.append((tmp_path / "empty", "no folders"))
    roots = [acdc.root, mnms.root, other.root, tmp_path / "empty"]
    layouts = ["acdc", "mnms", "mnms", "acdc"]
    problems = problems_of(*map(DataFolder, layouts, roots))
    for file, words in expected:
        assert any(p.startswith(f"{file}: ") and words in p for p in problems), (file, words)
    assert len(problems) == len(expected)


def test_a_folder_that_cannot_be_listed_is_named(
    acdc: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: DataFolder) -> Any:
        raise PermissionError(13, "Permission denied")

    acdc.root.mkdir(exist_ok=True)
    monkeypatch.setitem(ADAPTERS, "acdc", replace(ADAPTERS["acdc"], find=refuse))
    with pytest.raises(ProblemsError) as caught:
        make_case_table({"d": DataFolder("acdc", acdc.root)})
    assert caught.value.problems == [f"{acdc.root}: cannot be listed (Permission denied)"]
