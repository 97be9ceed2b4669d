"""A folder of DICOM is converted by dcm2niix, and read as NIfTI is."""

import locale
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from cardiouq.apply import dicom
from cardiouq.apply.dicom import as_nifti
from cardiouq.apply.scans import find_scans, open_frames
from cardiouq.cli import main
from cardiouq.device.environment import DEVICE_VARIABLE
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import read_hashes

needs_dcm2niix = pytest.mark.skipif(
    not shutil.which("dcm2niix", path=str(Path(sys.executable).parent))
    and not shutil.which("dcm2niix"),
    reason="dcm2niix is not installed",
)
SHAPE = (3, 4, 40, 48)
"""Phases, slices, rows and columns."""


def write_series(
    folder: Path,
    cine: NDArray[np.uint16],
    suffix: str = ".dcm",
    slices: Sequence[int] = range(SHAPE[1]),
    series: int = 5,
) -> None:
    """Write a series as scanners do, phase by phase: a file for each phase of each slice.

    Slices have their places by their numbers, 8 mm apart.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = locale.setlocale(locale.LC_ALL)  # SimpleITK leaves that of C
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for phase, volume in enumerate(cine):
        for number, pixels in enumerate(volume):
            instance = 1 + phase * len(volume) + number
            image = sitk.GetImageFromArray(pixels)
            image.SetSpacing((1.4, 1.5))
            tags = {
                "0008|0060": "MR",
                "0008|0070": "GE MEDICAL SYSTEMS",
                "0008|0020": "20260101",
                "0008|0030": "100000",
                "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
                "0008|0018": f"1.2.3.{series}.{instance}",
                "0018|0050": "8",
                "0018|1060": str(40 * phase),
                "0018|5100": "HFS",
                "0020|000d": "1.2.3",
                "0020|000e": f"1.2.3.{series}",
                "0020|0011": str(series),
                "0020|0013": str(instance),
                "0020|0032": f"10\\20\\{8 * slices[number]}",
                "0020|0037": "1\\0\\0\\0\\1\\0",
            }
            for tag, value in tags.items():
                image.SetMetaData(tag, value)
            file = folder / f"{series}-{instance:03d}.dcm"
            writer.SetFileName(str(file))
            writer.Execute(image)
            file.rename(file.with_suffix(suffix))
    locale.setlocale(locale.LC_ALL, kept)


@pytest.fixture
def cine() -> NDArray[np.uint16]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 500, SHAPE).astype(np.uint16)


@needs_dcm2niix
@pytest.mark.parametrize("suffix", [".dcm", ""])
def test_series_is_a_cine_with_its_place_in_space(
    cine: NDArray[np.uint16], tmp_path: Path, suffix: str
) -> None:
    write_series(tmp_path / "dicom/one/cine", cine, suffix)
    [(name, path)] = find_scans(as_nifti(str(tmp_path / "dicom"), tmp_path / "out")).items()
    assert name == "one_cine_5"
    assert path == tmp_path / "out/nifti/one/cine/cine_5.nii.gz"
    scan = open_frames(path)
    assert scan.spacing == pytest.approx((8, 1.5, 1.4))
    # dcm2niix turns rows about, which the affine says
    np.testing.assert_array_equal(list(scan.frames()), cine[:, :, ::-1])
    of_last_row = scan.image.affine @ [0, SHAPE[2] - 1, 0, 1]
    np.testing.assert_allclose(of_last_row[:3], [-10, -20, 0])  # DICOM's x and y point backwards


@needs_dcm2niix
def test_cine_is_segmented(
    make_model: Callable[..., Path],
    cine: NDArray[np.uint16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    write_series(tmp_path / "dicom/cine", cine)
    out = tmp_path / "out"
    assert main(["apply", str(make_model()), str(tmp_path / "dicom"), str(out)]) == 0
    segmented = nib.load(out / "scans/cine_5/segmentation.nii.gz")
    converted = nib.load(out / "nifti/cine/cine_5.nii.gz")
    assert segmented.shape == SHAPE[::-1]
    np.testing.assert_array_equal(segmented.affine, converted.affine)


GAP = r"series 5: its slices lie 8 to 16 mm apart; expected all at one distance"
TWICE = r"series 5: a slice is there {} times, and another {};"


@needs_dcm2niix
@pytest.mark.parametrize(
    ("phases", "slices", "wrong"),
    [
        (3, [0, 2, 3], GAP),
        (1, [0, 2, 3], GAP),
        (3, [0, 1, 2, 2, 3], TWICE.format(6, 3)),
        (1, [0, 1, 2, 2, 3], TWICE.format(2, 1)),
    ],
)
def test_series_that_is_not_whole_is_a_row_and_no_scan(
    make_model: Callable[..., Path],
    cine: NDArray[np.uint16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    phases: int,
    slices: list[int],
    wrong: str,
) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    write_series(tmp_path / "dicom/x", cine[:phases], series=4)
    write_series(tmp_path / "dicom/x", cine[:phases, slices], slices=slices)
    out = tmp_path / "out"
    assert main(["apply", str(make_model()), str(tmp_path / "dicom"), str(out)]) == 1
    errors = pd.read_csv(out / "subjects.csv").set_index("scan")["error"].fillna("")
    assert errors.index.tolist() == ["x_4", "x_5"]
    assert errors["x_4"] == "" and re.search(f"^{tmp_path}/dicom/x, {wrong}", errors["x_5"])
    made = {path.name for path in (out / "nifti/x").iterdir()}
    assert made == {"x_4.nii.gz", "x_5.left_out.txt"}


def test_what_dcm2niix_interpolates_is_no_scan(
    cine: NDArray[np.uint16], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(tmp_path / "dicom/A_Eq", cine[:1])
    names = ("A_Eq_5.nii.gz", "A_Eq_5_Eq_1.nii.gz", "A_Eq_6.nii.gz")
    stand_in(monkeypatch, tmp_path, "; ".join(f': > "$made/{name}"' for name in names))
    assert [*find_scans(as_nifti(str(tmp_path / "dicom"), tmp_path / "out"))] == [
        "A_Eq_5",
        "A_Eq_6",
    ]


@needs_dcm2niix
def test_what_has_not_changed_is_not_converted_again(
    cine: NDArray[np.uint16], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(tmp_path / "dicom/one", cine)
    folder, out = str(tmp_path / "dicom"), tmp_path / "out"
    as_nifti(folder, out)
    with monkeypatch.context() as without:
        without.setattr(dicom, "DCM2NIIX", "nowhere")
        as_nifti(folder, out)
    write_series(tmp_path / "dicom/two", cine)
    assert [*find_scans(as_nifti(folder, out))] == ["one_5", "two_5"]


@needs_dcm2niix
def test_folder_that_cannot_be_converted_is_named_and_stops_nothing(
    cine: NDArray[np.uint16], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_series(tmp_path / "dicom/one", cine[:1])
    write_series(tmp_path / "dicom/two", cine[:1])
    for file in (tmp_path / "dicom/two").iterdir():
        file.write_bytes(file.read_bytes()[:400])
    assert [*find_scans(as_nifti(str(tmp_path / "dicom"), tmp_path / "out"))] == ["one_5"]
    said = f"{tmp_path}/dicom/two: dcm2niix did not convert all of it"
    assert said in caplog.text
    caplog.clear()
    assert [*find_scans(as_nifti(str(tmp_path / "dicom"), tmp_path / "out"))] == ["one_5"]
    assert said in caplog.text  # also where nothing is converted again
    shutil.rmtree(tmp_path / "dicom/one")
    with pytest.raises(CardiouqError, match="dcm2niix makes no scan of its DICOM files"):
        as_nifti(str(tmp_path / "dicom"), tmp_path / "out")


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Put a script in dcm2niix's place, whose `$made` and `$folder` are the last arguments."""
    program = folder / "bin" / "stand-in"
    program.parent.mkdir(exist_ok=True)
    text = f'#!/bin/sh\nwhile [ "$#" -gt 2 ]; do shift; done; made=$1; folder=$2\n{script}\n'
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(dicom, "DCM2NIIX", program.name)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


def test_folder_of_which_nothing_comes_is_named_at_every_call(
    cine: NDArray[np.uint16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("one", "two", "three"):
        write_series(tmp_path / "dicom" / name, cine[:1])
    crash = '*/three) kill -SEGV "$$";;'
    stand_in(monkeypatch, tmp_path, f'case "$folder" in */one) : > "$made/a.nii";; {crash} esac')
    for _ in range(2):
        caplog.clear()
        as_nifti(str(tmp_path / "dicom"), tmp_path / "out")
        assert [record.getMessage() for record in caplog.records] == [
            f"{tmp_path}/dicom/three: stand-in did not convert all of it ()",
            f"{tmp_path}/dicom/two: stand-in makes no scan of it",
        ]


def test_conversion_that_was_killed_is_tried_again(
    cine: NDArray[np.uint16], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "dicom" / name for name in ("one", "two")]
    for folder in folders:
        write_series(folder, cine[:1])
    made = ': > "$made/a.nii"'
    stand_in(monkeypatch, tmp_path, f'{made}; case "$folder" in */two) kill -KILL "$$";; esac')
    said = f"{folders[1]}: stand-in was stopped by SIGKILL while it converted it"
    with pytest.raises(CardiouqError, match=re.escape(said)):
        as_nifti(str(tmp_path / "dicom"), tmp_path / "out")
    stand_in(monkeypatch, tmp_path, made)
    as_nifti(str(tmp_path / "dicom"), tmp_path / "out")
    assert len(list((tmp_path / "out/nifti").rglob("*.nii"))) == 2


def converted(calls: Path) -> list[str]:
    """Folders that a stand-in was given since this was last asked."""
    found = calls.read_text(encoding="utf-8").split() if calls.is_file() else []
    calls.unlink(missing_ok=True)
    return [Path(folder).name for folder in found]


def test_folder_that_failed_is_tried_again_and_no_other(
    cine: NDArray[np.uint16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As on a disk that was full."""
    for name in ("one", "two", "two/three"):
        write_series(tmp_path / "dicom" / name, cine[:1])
    full, calls = tmp_path / "full", tmp_path / "calls"
    full.touch()
    fails = f'case "$folder" in */two) : > "$made/b.nii"; [ -e {full} ] && exit 1;; esac'
    stand_in(
        monkeypatch, tmp_path, f'echo "$folder" >> {calls}; echo x > "$made/a.nii"; {fails}; exit 0'
    )

    def found() -> list[str]:
        return [*find_scans(as_nifti(str(tmp_path / "dicom"), tmp_path / "out"))]

    scans = ["one_a", "two_a", "two_b", "two_three_a"]
    note = tmp_path / "out/nifti/source.txt"
    for of_all in (True, False):
        caplog.clear()
        assert found() == scans
        assert f"{tmp_path}/dicom/two: stand-in did not convert all of it" in caplog.text
        folders = converted(calls)
        assert folders.count("two") == 1 and ("one" in folders and "three" in folders) == of_all
        if of_all:
            written = note.stat()
    assert note.stat().st_ino == written.st_ino  # nothing is written where nothing is new
    full.unlink()
    one = tmp_path / "out/nifti/one/a.nii"
    time = one.stat().st_mtime_ns
    caplog.clear()
    for _ in range(2):
        assert found() == scans and not caplog.messages
    assert converted(calls).count("two") == 1
    assert one.stat().st_mtime_ns == time
    assert (tmp_path / "out/nifti/two/three/a.nii").read_text(encoding="utf-8") == "x\n"
    assert "SHA256SUMS" not in read_hashes(tmp_path / "out/nifti/SHA256SUMS")


def test_another_version_or_option_converts_all_again(
    cine: NDArray[np.uint16], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(tmp_path / "dicom/one", cine[:1])
    calls = tmp_path / "calls"

    def convert(version: str) -> list[str]:
        asked = f'if [ "$made$folder" = --version ]; then echo "is v{version}"; exit; fi'
        stand_in(monkeypatch, tmp_path, f'{asked}; echo "$folder" >> {calls}; : > "$made/a.nii"')
        as_nifti(str(tmp_path / "dicom"), tmp_path / "out")
        return converted(calls)

    assert [convert("1"), convert("1"), convert("2"), convert("2")] == [["one"], [], ["one"], []]
    monkeypatch.setitem(dicom.OPTIONS, "-z", "n")
    assert [convert("2"), convert("2")] == [["one"], []]


def test_without_dcm2niix_is_said_how_to_get_it(
    cine: NDArray[np.uint16], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom, "DCM2NIIX", "nowhere")
    write_series(tmp_path / "dicom", cine[:1])
    with pytest.raises(CardiouqError, match=r"nowhere is not installed.*`pip install nowhere`"):
        as_nifti(str(tmp_path / "dicom"), tmp_path / "out")


def test_nifti_is_left_as_it_is(
    cine: NDArray[np.uint16], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "scans"
    for name in ("dicom", "more"):
        write_series(folder / name, cine[:1])
    nib.save(nib.Nifti1Image(cine[0].T, np.diag([1.5, 1.5, 8, 1])), folder / "one.nii.gz")
    assert as_nifti(str(folder), tmp_path / "out") == str(folder)
    assert f"{folder}: 2 folders of DICOM are left out" in caplog.text
    assert f"NIfTI files, {folder}/dicom the first; give it by itself" in caplog.text
    pattern = str(folder / "*.nii.gz")
    assert as_nifti(pattern, tmp_path / "out") == pattern
    assert not (tmp_path / "out").exists()
