"""Scans are found by a path: which files are taken, and what their results are called."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cardiouq.apply.dicom import as_nifti
from cardiouq.apply.scans import find_scans
from cardiouq.data.readers.pseudonyms import KEY_FILE
from cardiouq.errors import CardiouqError

Touch = Callable[..., Path]


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    """Makes empty files below a folder, which it returns."""

    def touch(*names: str, root: str = "scans") -> Path:
        for name in names:
            file = tmp_path / root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return tmp_path / root

    return touch


def test_scans_are_found_by_file_folder_and_pattern(touch: Touch) -> None:
    folder = touch("p1_4d.nii.gz", "p1_gt.nii", "p2_4d.nii.gz", "._p1_4d.nii.gz", "notes.txt")
    assert list(find_scans(str(folder / "p1_gt.nii"))) == ["p1_gt"]
    assert list(find_scans(str(folder))) == ["p1_4d", "p1_gt", "p2_4d"]
    assert list(find_scans(f"{folder}/*_4d.nii.gz")) == ["p1_4d", "p2_4d"]
    for asked in ("", str(folder / "*.dcm"), str(folder / "missing.nii")):
        with pytest.raises(CardiouqError, match="no scan is there"):
            find_scans(asked)


def test_suffixes_may_be_in_capitals(touch: Touch) -> None:
    folder = touch("A.NII.GZ", "c.NII", "c_gt.Nii.gz", "d.IMG")
    assert list(find_scans(str(folder))) == ["A", "c"]
    assert list(find_scans(str(folder / "A.NII.GZ"))) == ["A"]


def test_a_scan_keeps_its_name_whatever_is_added(touch: Touch) -> None:
    alone = find_scans(str(touch("p1/c.nii.gz")))
    assert list(alone) == ["p1_c"]
    both = find_scans(str(touch("p2/c.nii.gz")))
    assert list(both) == ["p1_c", "p2_c"]
    assert both["p1_c"] == alone["p1_c"]


@pytest.mark.parametrize("pattern", ["*/*.nii.gz", "**/*.nii.gz", "p?/c.nii.gz", "p[1]/c.nii.gz"])
def test_a_pattern_calls_scans_as_its_folder_does(touch: Touch, pattern: str) -> None:
    assert list(find_scans(f"{touch('p1/c.nii.gz')}/{pattern}")) == ["p1_c"]


def test_paths_may_be_relative(touch: Touch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(touch("p1/c.nii.gz"))
    for asked in (".", "*/*.nii.gz", "../scans"):
        assert list(find_scans(asked)) == ["p1_c"]


@pytest.mark.parametrize("pattern", ["", "/**/*.nii.gz", "/*/sa.nii.gz"])
def test_scans_in_linked_folders_are_found(touch: Touch, pattern: str) -> None:
    folder = touch("p1/sa.nii.gz", "site/p2/sa.nii.gz")
    touch("p3/sa.nii.gz", root="elsewhere")
    (folder / "p3").symlink_to("../elsewhere/p3")
    (folder / "site/p4").symlink_to(folder.parent / "elsewhere/p3", target_is_directory=True)
    found = find_scans(f"{folder}{pattern}")
    assert found["p3_sa"] == folder / "p3/sa.nii.gz"
    deep = {"site_p2_sa", "site_p4_sa"} if pattern in ("", "/**/*.nii.gz") else set()
    assert found.keys() == {"p1_sa", "p3_sa"} | deep


@pytest.mark.parametrize("pattern", ["", "/**/*.nii.gz"])
def test_linked_folders_that_hold_one_another_are_walked_once(touch: Touch, pattern: str) -> None:
    folder = touch("x/a.nii.gz", "y/b.nii.gz")
    (folder / "x/all").symlink_to("..")
    (folder / "x/other").symlink_to("../y")
    (folder / "y/other").symlink_to("../x")
    found = find_scans(f"{folder}{pattern}")
    assert sorted(found) == ["x_a", "x_other_b", "y_b", "y_other_a"]


def test_folder_with_the_name_of_a_scan_is_none_and_a_broken_link_is_told(touch: Touch) -> None:
    folder = touch("x.nii.gz/x.nii", "a.nii.gz")
    (folder / "gone.nii.gz").symlink_to("nowhere")
    (folder / "own.nii.gz").symlink_to("own.nii.gz")
    assert sorted(find_scans(str(folder))) == ["a", "gone", "own", "x.nii.gz_x"]


def test_a_folder_that_a_name_begins_with_is_not_said_twice(touch: Touch) -> None:
    names = ["p1/p1_4d.nii", "p1/p10_4d.nii", "site/p2/p2/p2.nii.gz", "p3.x/p3.x-sa.nii.gz"]
    assert sorted(find_scans(str(touch(*names)))) == [
        "p1_4d",
        "p1_p10_4d",
        "p3.x-sa",
        "site_p2",
    ]


@pytest.mark.parametrize(
    ("one", "other"), [("a.nii", "a.nii.gz"), ("x/y_z.nii", "x_y/z.nii"), ("p/p_a.nii", "p_a.nii")]
)
def test_two_scans_of_one_name_are_named(touch: Touch, one: str, other: str) -> None:
    folder = touch(one, other)
    with pytest.raises(CardiouqError, match="the results of both would be called") as error:
        find_scans(str(folder))
    assert str(folder / one) in str(error.value) and str(folder / other) in str(error.value)


OUT = ("scans/a/findings.json", "scans/a/SHA256SUMS", "scans/a/entropy.nii.gz", "subjects.csv")
CONVERTED = ("nifti/source.txt", "nifti/SHA256SUMS", "nifti/one/one_5.nii.gz")


@pytest.mark.parametrize("out", ["out/", "here/and/there/", ""])
def test_what_comes_of_scans_is_not_taken_for_scans(touch: Touch, out: str) -> None:
    half_written = f"{out}scans/.partial-0123-b/entropy.nii.gz"
    folder = touch("a.nii.gz", half_written, *(f"{out}{name}" for name in OUT + CONVERTED))
    assert list(find_scans(str(folder))) == ["a"]
    assert list(find_scans(f"{folder}/**/*.nii.gz")) == ["a"]
    # asked for by itself it is
    assert list(find_scans(f"{folder}/{out}nifti")) == ["one_5"]


def test_dicom_with_the_output_among_it_stays_dicom(touch: Touch, tmp_path: Path) -> None:
    folder = touch("one/1.dcm", *(f"out/{name}" for name in OUT + CONVERTED))
    with pytest.raises(CardiouqError, match=r"dcm2niix (is not installed|makes no scan)"):
        as_nifti(str(folder), tmp_path / "other")
    assert as_nifti(str(touch("b.nii")), tmp_path / "other") == str(folder)


def test_dicom_in_linked_folders_is_found(touch: Touch, tmp_path: Path) -> None:
    touch("one/1.dcm", os.fsdecode(b"one/M\xfcller.dcm"), root="elsewhere")
    (touch("notes.txt") / "one").symlink_to("../elsewhere/one")
    with pytest.raises(CardiouqError, match=r"dcm2niix (is not installed|makes no scan)"):
        as_nifti(str(tmp_path / "scans"), tmp_path / "other")


def test_folders_with_notes_of_the_user_s_own_are_read(touch: Touch) -> None:
    folder = touch("p1/source.txt", "p1/a.nii", "p2/findings.json", "p2/a.nii", "p3/SHA256SUMS")
    touch("p3/a.nii")
    assert list(find_scans(str(folder))) == ["p1_a", "p2_a", "p3_a"]


def test_label_maps_beside_their_scans_are_left_out_with_a_warning(
    touch: Touch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = touch("p1/p1_01.nii.gz", "p1/p1_01_gt.nii.gz", "p2_sa.nii", "p2_sa_seg.nii.gz")
    touch("imagesTr/p3_0000.nii.gz", "labelsTr/p3.nii.gz", "p4/sa_ED.nii", "p4/label_sa_ED.nii")
    with caplog.at_level(logging.WARNING):
        assert list(find_scans(str(folder))) == ["imagesTr_p3_0000", "p1_01", "p2_sa", "p4_sa_ED"]
    [said] = caplog.messages
    assert f"{folder}: 4 files are left out" in said
    assert str(folder / "labelsTr/p3.nii.gz") in said


@pytest.fixture
def gated(touch: Touch) -> Path:
    """A folder of participants under pseudonyms, of NIfTI and of DICOM."""
    return touch(KEY_FILE, "1000013/sa_ED.nii.gz", "1000026/dicom/1.dcm", root="gated")


@pytest.mark.parametrize("asked", ["", "/1000013", "/1000013/sa_ED.nii.gz", "/*/*.gz", "/../gated"])
def test_participants_of_gated_data_are_called_by_no_id(gated: Path, asked: str) -> None:
    with pytest.raises(CardiouqError, match=r"gated: holds pseudonym\.key, .* elsewhere") as error:
        find_scans(f"{gated}{asked}")
    assert "1000013" not in str(error.value)


def test_dicom_of_gated_data_is_not_converted_under_ids(gated: Path, tmp_path: Path) -> None:
    with pytest.raises(CardiouqError, match=r"gated: holds pseudonym\.key"):
        as_nifti(str(gated / "1000026"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_to_gated_data_hold_no_id(gated: Path, touch: Touch) -> None:
    folder = touch("own.nii.gz")
    (folder / "p0123_ED.nii.gz").symlink_to(gated / "1000013/sa_ED.nii.gz")
    (folder / "p0123").symlink_to(gated / "1000013")
    assert list(find_scans(str(folder))) == ["own", "p0123_sa_ED", "p0123_ED"]
    (folder / "ED_1000013.nii.gz").symlink_to(gated / "1000013/sa_ED.nii.gz")
    with pytest.raises(CardiouqError, match=r"gated: holds pseudonym\.key"):
        find_scans(str(folder))


def test_what_is_called_a_label_map_alone_is_a_scan(
    touch: Touch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = touch("p1_gt.nii.gz", "p1.nii.gz", "q_gt.nii.gz", "labelsTr/p3.nii.gz", "sgt.nii")
    assert list(find_scans(f"{folder}/*_gt.nii.gz")) == ["p1_gt", "q_gt"]
    assert list(find_scans(str(folder / "p1_gt.nii.gz"))) == ["p1_gt"]
    assert not caplog.messages
    assert list(find_scans(str(folder))) == ["labelsTr_p3", "p1", "q_gt", "sgt"]
