"""Series of DICOM are whole if their slices lie at equal distances, each equally often."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from cardiouq.apply.series import broken_series

ACROSS, TILTED = [1, 0, 0, 0, 1, 0], [0.8, 0.6, 0, 0, 0, -1]


def write(file: Path, position: Sequence[float], axes: Sequence[float] = ACROSS) -> Path:
    """Write the header of a slice."""
    header = Dataset()
    header.SeriesInstanceUID, header.SeriesNumber = "1.2.3", 7
    header.ImagePositionPatient, header.ImageOrientationPatient = [*position], [*axes]
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = MRImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1"
    header.save_as(file, enforce_file_format=True)
    return file


@pytest.mark.parametrize(
    ("along", "wrong"),
    [
        ([0, 8, 16.04, 24, 31.98], ""),
        ([24, 0.02, 0, 8, 24, 8, 16, 16.01], ""),
        ([5, 5, 5], ""),
        ([0, 8, 16, 32], "its slices lie 8 to 16 mm apart"),
        ([0, 8, 8, 16], "a slice is there 2 times, and another 1"),
    ],
)
def test_slices_are_told_apart_along_their_normal(
    tmp_path: Path, along: list[float], wrong: str
) -> None:
    normal = [-0.6, 0.8, 0]
    files = [
        write(tmp_path / str(n), [3 + mm * part for part in normal], TILTED)
        for n, mm in enumerate(along)
    ]
    assert broken_series(files) == ({7: (wrong, files)} if wrong else {})


def test_each_orientation_of_a_localizer_has_its_slices(tmp_path: Path) -> None:
    files = [write(tmp_path / f"a{z}", [0, 0, z]) for z in (0, 8, 16)]
    files += [write(tmp_path / f"b{y}", [0, y, 0], [1, 0, 0, 0, 0, -1]) for y in (0, 5, 10)]
    assert broken_series(files) == {}


def test_file_without_a_position_is_of_its_series(tmp_path: Path) -> None:
    files = [write(tmp_path / str(z), [0, 0, z]) for z in (0, 8, 24)]
    files.append(write(tmp_path / "report", []))
    truncated, notes = tmp_path / "truncated", tmp_path / "notes.txt"
    truncated.write_bytes(files[0].read_bytes()[:140])
    notes.write_text("of the operator", encoding="utf-8")
    [(number, (_, of_series))] = broken_series([*files, truncated, notes]).items()
    assert number == 7 and of_series == files
