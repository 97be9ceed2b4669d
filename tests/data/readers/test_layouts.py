"""The adapters read the official layouts of ACDC and M&Ms."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cardiouq.data.case_table import read_case_table
from cardiouq.data.cases import make_case_table
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.readers.layouts import find_acdc, find_mnms
from cardiouq.data.readers.scans import load_volume, read_image, read_label
from cardiouq.errors import ProblemsError
from cardiouq.structures import label_of
from tests.data.conftest import make_scan, write_nifti

COLUMNS = [
    "dataset",
    "case",
    "subject",
    "visit",
    "phase",
    "pathology",
    "vendor",
    "centre",
    "part",
    "image",
    "label",
    "labels",
    "frame",
    "slices",
    "rows",
    "columns",
    "spacing_z",
    "spacing_y",
    "spacing_x",
    "ignored_voxels",
    "image_hash",
    "label_hash",
    "image_identity",
    "label_identity",
]


def cases_of(root: Path, layout: str) -> list[Any]:
    return list(make_case_table({"d": DataFolder(layout, root)}).itertuples(index=False))


def test_acdc_gives_two_phases_of_each_patient(acdc: Any) -> None:
    acdc.add(1, "DCM")
    acdc.add(2, "RV")
    found, problems = find_acdc(DataFolder("acdc", acdc.root))
    assert problems == []
    assert [(c.case, c.phase, c.pathology, c.image.name, c.frame) for c in found] == [
        ("patient001_ED", "ED", "DCM", "patient001_frame01.nii.gz", -1),
        ("patient001_ES", "ES", "DCM", "patient001_frame09.nii.gz", -1),
        ("patient002_ED", "ED", "RV", "patient002_frame01.nii.gz", -1),
        ("patient002_ES", "ES", "RV", "patient002_frame09.nii.gz", -1),
    ]


def test_acdc_cines_and_strangers_beside_the_frames_are_ignored(
    acdc: Any, save: Callable[..., None]
) -> None:
    folder = acdc.add(1)
    before = cases_of(acdc.root, "acdc")
    save(folder / "patient001_4d.nii.gz", np.zeros((4, 4, 2, 5), np.int16))
    (folder / "notes.txt").write_text("seen", encoding="utf-8")
    (acdc.root / "training" / "MANDATORY_CITATION.md").write_text("cite", encoding="utf-8")
    assert cases_of(acdc.root, "acdc") == before


def test_mnms_gives_frames_of_the_cine_with_vendor_and_centre(mnms: Any) -> None:
    mnms.add("A0B1C2", "B", 3, ed=3, es=1)
    found, problems = find_mnms(DataFolder("mnms", mnms.root))
    assert problems == []
    described = [(c.case, c.phase, c.vendor, c.centre, c.image.name, c.frame) for c in found]
    assert described == [
        ("A0B1C2_ED", "ED", "B", "3", "A0B1C2_sa.nii.gz", 3),
        ("A0B1C2_ES", "ES", "B", "3", "A0B1C2_sa.nii.gz", 1),
    ]


def test_mnms_rows_without_scans_are_ignored(mnms: Any) -> None:
    mnms.add("A0B1C2")
    mnms.rows.append(mnms.rows[0] | {"External code": "Z9Z9Z9"})  # a test subject's
    mnms.write_table()
    found, problems = find_mnms(DataFolder("mnms", mnms.root))
    assert (len(found), problems) == (2, [])


def test_acdc_s_testing_part_is_read_if_it_is_asked_for(acdc: Any) -> None:
    acdc.add(1)
    folder = acdc.add(101)
    (acdc.root / "testing").mkdir()
    folder.rename(acdc.root / "testing" / folder.name)
    both, problems = find_acdc(DataFolder("acdc", acdc.root, ["training", "testing"]))
    assert problems == []
    assert [(c.subject, c.part) for c in both[::2]] == [
        ("patient001", "training"),
        ("patient101", "testing"),
    ]
    assert {c.subject for c in find_acdc(DataFolder("acdc", acdc.root))[0]} == {"patient001"}


def test_official_layouts_may_have_voxels_that_nobody_annotated(acdc: Any, mnms: Any) -> None:
    acdc.add(1)
    mnms.add("A0B1C2")
    mnms.write_table()
    for layout, root in (("acdc", acdc.root), ("mnms", mnms.root)):
        data = DataFolder(layout, root, labels={"ignore": 3})  # instead of a structure's
        with pytest.raises(ProblemsError, match=r"\[3\] are 'ignore' and a class too"):
            make_case_table({"d": data})
    for path in acdc.root.rglob("*_gt.nii.gz"):
        _, label = make_scan(0)
        label[:2] = 4
        write_nifti(path, label)
    table = make_case_table({"d": DataFolder("acdc", acdc.root, labels={"ignore": 4})})
    assert table["ignored_voxels"].tolist() == [2 * 14 * 3] * 2
    assert set(table["labels"]) == {"background=0 RV=1 MYO=2 LV=3 ignore=4"}


def test_a_part_that_is_not_there_is_a_problem(acdc: Any, mnms: Any) -> None:
    acdc.add(1)
    mnms.add("A0B1C2")
    for find, root in ((find_acdc, acdc.root), (find_mnms, mnms.root)):
        _, [problem] = find(DataFolder(root.name, root, ["training", "testing"]))
        assert "esting" in problem


def test_an_optional_part_may_be_missing(acdc: Any, mnms: Any) -> None:
    acdc.add(1)
    mnms.add("A0B1C2")
    for find, root in ((find_acdc, acdc.root), (find_mnms, mnms.root)):
        data = DataFolder(root.name, root, ["testing", "training"], optional=["testing"])
        assert find(data) == find(DataFolder(root.name, root))
        needed = DataFolder(root.name, root, ["testing", "training"], optional=["training"])
        assert len(find(needed)[1]) == 1


def test_mnms_subjects_without_a_label_are_left_out_with_a_count(
    mnms: Any, caplog: pytest.LogCaptureFixture
) -> None:
    mnms.add("A0B1C2")
    for code in ("B1", "B2"):
        folder = mnms.add(code)
        (mnms.root / "Testing").mkdir(exist_ok=True)
        folder = folder.rename(mnms.root / "Testing" / code)
    (folder / "B2_sa_gt.nii.gz").unlink()
    unlabelled = mnms.add("C3")
    (mnms.root / "Training" / "Unlabeled").mkdir()
    unlabelled.rename(mnms.root / "Training" / "Unlabeled" / "C3")
    with caplog.at_level("INFO"):
        found, problems = find_mnms(DataFolder("mnms", mnms.root, ["testing"]))
    assert (problems, {c.subject for c in found}) == ([], {"B1"})
    assert "1 subject(s) without a label are left out" in caplog.text
    assert "1 subject(s) of Training/Unlabeled are left out" in caplog.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_mnms_csv_in_any_encoding_with_any_separator(
    mnms: Any, encoding: str, separator: str
) -> None:
    mnms.add("A0B1C2", "B", 3, ed=3, es=1)
    table = pd.DataFrame(mnms.rows).assign(VendorName="Síemens")
    name = "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv"
    mnms.table.unlink()
    table.to_csv(mnms.root / name, sep=separator, encoding=encoding, index=False)
    found, problems = find_mnms(DataFolder("mnms", mnms.root))
    assert problems == []
    assert [(c.vendor, c.centre, c.frame) for c in found] == [("B", "3", 3), ("B", "3", 1)]


def test_acdc_label_values_are_the_project_s(acdc: Any) -> None:
    acdc.add(1)
    label = read_label(cases_of(acdc.root, "acdc")[0])
    assert label.shape == (3, 14, 12)
    assert [label[1, 5, column] for column in (3, 6, 9)] == [
        label_of("RV"),
        label_of("MYO"),
        label_of("LV"),
    ]


def test_mnms_label_values_are_reversed(mnms: Any) -> None:
    mnms.add("A0B1C2")
    label = read_label(cases_of(mnms.root, "mnms")[0])
    assert [label[1, 5, column] for column in (3, 6, 9)] == [
        label_of("LV"),
        label_of("MYO"),
        label_of("RV"),
    ]
    assert label[0].max() == 0


def test_each_phase_reads_its_own_frame(mnms: Any, save: Callable[..., None]) -> None:
    folder = mnms.add("A0B1C2", ed=0, es=2)
    image = np.zeros((12, 14, 3, 4), np.int16)
    image[2, 5, 1] = [10, 11, 12, 13]
    save(folder / "A0B1C2_sa.nii.gz", image)
    volumes = [read_image(case) for case in cases_of(mnms.root, "mnms")]
    assert [volume[1, 5, 2] for volume in volumes] == [10, 12]
    assert {volume.shape for volume in volumes} == {(3, 14, 12)}


def test_intensities_follow_the_header_s_slope(tmp_path: Path) -> None:
    stored = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = nib.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    nib.save(image, tmp_path / "scaled.nii.gz")
    volume = load_volume(tmp_path / "scaled.nii.gz", -1)
    np.testing.assert_array_equal(volume, 0.5 * stored.T + 3)


def test_case_table_says_grid_spacing_and_content(acdc: Any, mnms: Any, tmp_path: Path) -> None:
    acdc.add(1, "HCM")
    mnms.add("A0B1C2", "B", 2)
    table = make_case_table(
        {"in": DataFolder("acdc", acdc.root), "out": DataFolder("mnms", mnms.root)}
    )
    assert list(table.columns) == COLUMNS
    assert table["case"].tolist() == [
        "patient001_ED",
        "patient001_ES",
        "A0B1C2_ED",
        "A0B1C2_ES",
    ]
    assert table["dataset"].tolist() == ["in", "in", "out", "out"]
    grid = table[["slices", "rows", "columns", "spacing_z", "spacing_y", "spacing_x"]]
    assert (grid == [3, 14, 12, 8.0, 1.25, 1.5]).all(axis=None)
    assert table["image_hash"].nunique() == 4
    table.to_csv(tmp_path / "cases.csv", index=False)
    read = read_case_table(tmp_path / "cases.csv")
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    assert read["vendor"].tolist() == ["", "", "B", "B"]


def test_equal_images_have_equal_hashes(acdc: Any) -> None:
    acdc.add(1, seed=5)
    acdc.add(2, seed=5)
    acdc.add(3, seed=6)
    hashes = make_case_table({"d": DataFolder("acdc", acdc.root)})["image_hash"].tolist()
    assert hashes[:2] == hashes[2:4]
    assert set(hashes[:2]).isdisjoint(hashes[4:])


@pytest.mark.parametrize("digits", ["1234567890123456", "12345678e0123456", "0000000000000012"])
def test_hashes_that_look_like_numbers_stay_text(
    subjects: Callable[..., pd.DataFrame], tmp_path: Path, digits: str
) -> None:
    table = subjects(2).assign(image_hash=digits, label_hash=digits, centre="")
    table.to_csv(tmp_path / "cases.csv", index=False)
    read = read_case_table(tmp_path / "cases.csv")
    assert read["image_hash"].tolist() == [digits] * 4
    assert read["label_hash"].tolist() == [digits] * 4
