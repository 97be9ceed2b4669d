"""Scans are read as they are, and what is written lies in a viewer where its scan lies."""

import gzip
import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from cardiouq.data.readers import scans
from cardiouq.data.readers.scans import load_prediction, load_volume, write_volume
from cardiouq.errors import CardiouqError


def oblique() -> Any:
    """A short-axis orientation with pixels of 1.3 x 1.7 mm and slices of 9 mm."""
    normal = np.array([0.6, -0.5, 0.62])
    normal /= np.linalg.norm(normal)
    across = np.cross(normal, [0, 0, 1.0])
    across /= np.linalg.norm(across)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([across * 1.3, np.cross(normal, across) * 1.7, normal * 9])
    affine[:3, 3] = [-120.5, 33.25, 80]
    return affine


def write_scan(path: Path, source: str) -> None:
    frames = (5,) if source.endswith("4-D") else ()
    voxels = np.random.default_rng(0).integers(0, 900, (12, 14, 3, *frames)).astype(np.int16)
    if source == "ACDC's disagreeing header":
        # the affine of the public copy of ACDC says 1 mm, its pixdim 1.5 mm
        image = nib.Nifti1Image(voxels, None)
        image.header["pixdim"][1:4] = [1.5, 1.5, 10]
        image.header.set_sform(np.diag([-1.0, -1.0, 1.0, 1.0]), code=1)
        image = nib.Nifti1Image(voxels, None, image.header)
    else:
        image = nib.Nifti1Image(voxels, oblique())
        if frames:
            image.header.set_zooms((1.3, 1.7, 9, 0.04))
        image.header["cal_max"] = 800
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)


SOURCES = ("oblique 3-D", "oblique 4-D", "ACDC's disagreeing header")


@pytest.fixture(params=SOURCES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    write_scan(tmp_path / "scan.nii.gz", request.param)
    frame = 2 if request.param.endswith("4-D") else -1
    return SimpleNamespace(image=str(tmp_path / "scan.nii.gz"), frame=frame)


@pytest.mark.parametrize(
    ("shape", "edges", "said"),
    [
        ((64, 60, 1), (1.5, 1.5, 1), "one slice of 1 mm, thinner than its pixels; .*`pixdim`"),
        ((64, 60, 2), (1.5, 1.2, 1), "along axis 1; expected them along axis 3. Reorder the axes"),
        ((64, 60, 1), (1.5, 1.5, 8), ""),
        ((64, 60, 1), (1, 1, 1), ""),
    ],
)
def test_one_thin_slice_is_told_from_slices_along_another_axis(
    tmp_path: Path, shape: tuple[int, ...], edges: tuple[float, ...], said: str
) -> None:
    scan = nib.Nifti1Image(np.zeros(shape, np.int16), np.diag([*edges, 1]))
    with pytest.raises(CardiouqError, match=said) if said else nullcontext():
        scans.check_axes(tmp_path / "scan.nii.gz", scan)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("samples", [0, 6])
def test_geometry_and_type_are_kept(case: Any, tmp_path: Path, samples: int, dtype: Any) -> None:
    shape = (samples, 3, 14, 12) if samples else (3, 14, 12)
    volume = (np.random.default_rng(1).random(shape) * 4).astype(dtype)
    write_volume(volume, case, tmp_path / "out.nii.gz")
    scan, written = nib.load(case.image), nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(written.affine, scan.affine)
    assert written.header.get_zooms()[:3] == scan.header.get_zooms()[:3]
    assert written.shape == scan.shape[:3] + ((samples,) if samples else ())
    assert written.get_data_dtype() == dtype
    assert written.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(np.asarray(written.dataobj).T, volume)
    np.testing.assert_array_equal(load_prediction(tmp_path / "out.nii.gz"), volume)


def test_display_window_of_the_scan_is_not_kept(case: Any, tmp_path: Path) -> None:
    write_volume(np.zeros((3, 14, 12), np.uint8), case, tmp_path / "out.nii.gz")
    header = nib.load(tmp_path / "out.nii.gz").header
    assert (header["cal_min"], header["cal_max"]) == (0, 0)


def test_scale_of_the_scan_is_not_applied_to_what_is_written(tmp_path: Path) -> None:
    scan = nib.Nifti1Image(np.arange(504.0).reshape(12, 14, 3), oblique())
    scan.header.set_data_dtype(np.int16)
    scan.header.set_slope_inter(0.25, 7)
    nib.save(scan, tmp_path / "scan.nii.gz")
    case = SimpleNamespace(image=str(tmp_path / "scan.nii.gz"), frame=-1)
    label = np.full((3, 14, 12), 3, np.uint8)
    write_volume(label, case, tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(load_prediction(tmp_path / "out.nii.gz"), label)


def test_read_and_written_back_is_the_same_scan(case: Any, tmp_path: Path) -> None:
    volume = load_volume(case.image, case.frame)
    write_volume(volume, case, tmp_path / "out.nii.gz")
    scan = np.asarray(nib.load(case.image).dataobj)
    expected = scan if case.frame < 0 else scan[..., case.frame]
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj), expected)


def test_failed_write_leaves_the_old_file(
    case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.nii.gz"
    write_volume(np.zeros((3, 14, 12), np.uint8), case, out)
    before = out.read_bytes()

    def fail(_: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(nib, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_volume(np.ones((3, 14, 12), np.uint8), case, out)
    assert out.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_a_broken_prediction_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "samples.nii.gz"
    for content in (b"", b"404", gzip.compress(bytes(5000))):
        file.write_bytes(content)
        with pytest.raises(CardiouqError, match=re.escape(f"{file}: ")):
            load_prediction(file)


@pytest.mark.parametrize(
    ("gib", "shape", "is_read"),
    [
        (8, (512, 512, 363), True),  # a whole heart
        (1, (512, 512, 363), False),
        (1, (512, 512, 128), True),
        (64, (512, 512, 20, 60), True),
        (4, (512, 512, 20, 110), False),
    ],
)
def test_a_large_scan_is_read_where_memory_allows(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gib: int,
    shape: tuple[int, ...],
    is_read: bool,
) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    (tmp_path / "scan.nii").write_bytes(header.binaryblock + bytes(4))  # no voxel is read
    monkeypatch.setattr(scans, "_memory", lambda: gib * 2**30)
    if is_read:
        assert scans.open_scan(tmp_path / "scan.nii", len(shape)).shape == shape
    else:
        with pytest.raises(CardiouqError, match=rf"scan.nii: shape .* memory of {gib} GiB at most"):
            scans.open_scan(tmp_path / "scan.nii", len(shape))
