"""Reading a case's image and label, and writing volumes back on the case's own grid.

Arrays are (slices, rows, columns), the transpose of the NIfTI array; labels are in the project's
order whatever the order on disk.
"""

import gzip
import io
import logging
import os
import resource
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, Protocol, TypeVar

import nibabel as nib
import numpy as np
from nibabel.openers import ImageOpener
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from cardiouq.data.readers.identity import hash_of
from cardiouq.data.readers.labels import parse_labels, to_disk, to_project
from cardiouq.data.readers.pseudonyms import on_disk
from cardiouq.errors import CardiouqError
from cardiouq.files.reading import read
from cardiouq.files.writing import atomic_write

Volume = TypeVar("Volume", bound=NDArray[Any])

log = logging.getLogger(__name__)
silent = logging.getLogger(f"{__name__}.nibabel")
silent.disabled = True
"""Takes what nibabel says of a header, which names no file; what matters is checked here."""

MOST_VOXELS = 2**25
"""Voxels of a volume that may always be read, however little memory there is."""
MOST_BYTES = 2**30
"""Bytes of a file with all its frames, unpacked, that may always be read."""
BYTES_PER_VOXEL = 64
"""Memory that a voxel takes on its way from the file to the scores, at most."""
MOST_HEADER = 2**20
"""Bytes in which a header and its extensions end."""
VOXEL_MM = (0.01, 100.0)
"""Smallest and largest edge of a voxel, mm."""
VOXEL_TOLERANCE = 1e-3
"""Relative difference above which two voxel sizes contradict one another."""
OTHER_UNITS = {1: "metres", 3: "micrometres"}
"""Values of `xyzt_units` that are not mm; all others are taken for mm, as ACDC does not say it."""
FEWER_SLICES = 3
"""Slices of cubes lie along an axis that has so many times fewer voxels than axis 3."""
LABEL_TOLERANCE = 5e-4
"""Distance of a label's value from an integer that scaling may leave."""
ORTHONORMAL_TOLERANCE = 1e-4
"""Error of the direction cosines' products above which ITK reads a file no more."""
MOST_NAMED = 5
"""Unknown values of a label that an error names."""
MOST_LOOKED_AT = 10_000
"""Voxels with unknown values that are looked at for these."""
COMPRESSION = 1
"""Level of gzip's, as nibabel's."""
FREE_TEXT = {"descrip", "aux_file", "intent_name", "db_name", "data_type"}
"""Fields of a NIfTI header that may say who was scanned."""


class Case(Protocol):
    """What the rooms ask of a row of the case table (`itertuples`); spacings in mm."""

    case: str
    labels: str
    image: str
    label: str
    frame: int
    slices: int
    rows: int
    columns: int
    spacing_z: float
    spacing_y: float
    spacing_x: float
    image_hash: str
    label_hash: str


def dimensions_of(frame: int) -> int:
    """How many dimensions a file has that holds a frame; -1 is the only one of a 3-D file."""
    return 3 if frame < 0 else 4


def open_scan(path: str | Path, *dimensions: int) -> nib.Nifti1Image:
    """Open a NIfTI file; its voxels are not read yet.

    Direction cosines that are not orthonormal are repaired, with a warning in the log.

    Args:
        path: of the file.
        dimensions: how many it may have.

    Raises:
        CardiouqError: if it is missing, is no NIfTI, has other dimensions or voxels than a scan's,
            or says that it is larger than any scan.
    """
    with _opened(Path(path), *dimensions) as (image, _, _):
        return image


@contextmanager
def _opened(path: Path, *dimensions: int) -> Iterator[tuple[nib.Nifti1Image, ImageOpener, bytes]]:
    """An open scan, the file as it is unpacked, and what was read of it so far: its start."""
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise CardiouqError(f"{path}: expected NIfTI, a file that ends in .nii or .nii.gz")
    file = _regular_file(path)
    with _one_error(path), ImageOpener(file) as stream:
        start = stream.read(MOST_HEADER)  # of what may unpack to any size
        is_second = nib.Nifti2Header.may_contain_header(start)
        kind = nib.Nifti2Image if is_second else nib.Nifti1Image
        with warnings.catch_warnings(action="ignore"):  # of extensions, that are not used
            header = kind.header_class.from_fileobj(io.BytesIO(start), check=False)
        voxel = [float(edge) for edge in header["pixdim"][1:4]]  # nibabel's check makes 0 to 1
        header.check_fix(silent)
        voxels = kind.ImageArrayProxy(str(file), header.copy())
        _check_size(path, voxels, dimensions)
        low, high = VOXEL_MM
        if not all(low <= edge <= high for edge in voxel):  # NaN neither
            raise CardiouqError(f"{path}: voxel size {voxel} mm; expected {low:g} to {high:g} mm")
        affine = _orthonormal(path, header.get_best_affine(), voxel)
        _check_voxel_size(path, header, voxel)
        yield kind(voxels, affine, header), stream, start


def _regular_file(path: Path) -> Path:
    """Where a path's file is: no folder, and no pipe, which would be waited for."""
    try:
        file = on_disk(path)
        if file.is_file():
            return file
    except OSError:  # the name is too long, or the folder may not be read
        pass
    raise CardiouqError(f"{path}: missing; no file can be read there")


@contextmanager
def _one_error(path: Path) -> Iterator[None]:
    """Raise what a library says of a broken file as an error that names no participant."""
    try:
        yield
    except CardiouqError:
        raise
    except Exception as error:  # broken bytes bring out any
        said = str(error).replace(str(on_disk(path)), str(path)) or type(error).__name__
        raise CardiouqError(
            f"{path}: cannot be read as NIfTI ({' '.join(said.split())}); fetch the file again"
        ) from None


def _check_size(path: Path, voxels: Any, dimensions: Sequence[int]) -> None:
    """Raise a CardiouqError if what a header says of the voxels is no scan's."""
    shape, dtype = tuple(int(size) for size in voxels.shape), voxels.dtype
    if len(shape) not in dimensions or min(shape) < 1:
        expected = " or ".join(map(str, dimensions))
        raise CardiouqError(f"{path}: shape {shape}; expected {expected} dimensions")
    if dtype.kind not in "iuf":
        raise CardiouqError(f"{path}: voxels are {dtype}; expected a real number of each")
    memory = _memory()
    most_voxels = max(MOST_VOXELS, memory // BYTES_PER_VOXEL)
    most_bytes = max(MOST_BYTES, memory // 4)
    if prod(shape[:3]) > most_voxels or _unpacked(voxels) > most_bytes:
        raise CardiouqError(
            f"{path}: shape {shape} of {dtype} is too large; with this machine's memory of "
            f"{memory / 2**30:.0f} GiB at most {most_voxels:,} voxels are read, and {most_bytes:,} "
            "bytes of all frames. Crop it or use a machine with more memory; if the scan is "
            "smaller than that, its header is broken: fetch the file again"
        )


def _memory() -> int:
    """Bytes that this process may have."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return there if limit == resource.RLIM_INFINITY else min(limit, there)


def _unpacked(voxels: Any) -> int:
    """Bytes of a whole file, by its header."""
    return int(voxels.offset) + prod(map(int, voxels.shape)) * int(voxels.dtype.itemsize)


def _orthonormal(path: Path, affine: NDArray[Any], voxel: list[float]) -> NDArray[Any]:
    """The affine, with the nearest orthonormal directions (the polar factor) if its own are not.

    Then it has the header's voxel size, and the same first voxel.
    """
    axes = affine[:3, :3]
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(axes) < 3:
        raise CardiouqError(
            f"{path}: affine {affine.round(3).tolist()}; expected three directions in space"
        )
    directions = axes / np.linalg.norm(axes, axis=0)
    if np.abs(directions.T @ directions - np.eye(3)).max() < ORTHONORMAL_TOLERANCE:
        return affine
    _warn_of_repair(path)
    left, _, right = np.linalg.svd(directions)
    repaired = affine.copy()
    repaired[:3, :3] = left @ right * voxel
    return repaired


def _check_voxel_size(path: Path, header: Any, voxel: list[float]) -> None:
    """Raise a CardiouqError if what a header says of the voxel size in several places differs.

    `pixdim` says it, and the columns of the sform; the qform has that of `pixdim`. An sform that is
    the identity but for signs, with the origin at 0, is a placeholder, as all of ACDC have: it says
    nothing.
    """
    units = int(header["xyzt_units"]) & 7
    if units in OTHER_UNITS:
        raise CardiouqError(
            f"{path}: `xyzt_units` says {OTHER_UNITS[units]}, with voxels of {voxel}; expected mm. "
            "Save the scan with sizes in mm"
        )
    sform, code = header.get_sform(coded=True)
    if not code or np.array_equal(np.abs(sform), np.eye(4)):
        return
    of_sform = np.linalg.norm(sform[:3, :3], axis=0).tolist()
    if not np.allclose(voxel, of_sform, rtol=VOXEL_TOLERANCE):
        raise CardiouqError(
            f"{path}: voxel size {in_mm(voxel)} by `pixdim`, {in_mm(of_sform)} by the sform; "
            "expected the same. Find out which is right, and save the scan with it in both"
        )


def in_mm(voxel: Sequence[float]) -> str:
    """A voxel size in words, along the axes on disk."""
    return f"{' x '.join(f'{float(edge):.5g}' for edge in voxel)} mm"


def check_axes(path: Path, scan: nib.Nifti1Image) -> None:
    """Raise a CardiouqError unless a scan's slices lie along its third axis.

    Slices are at least as thick as their pixels, and one alone lies along no other axis; where all
    edges are alike, they are not far fewer along another axis.
    """
    sizes, edges = scan.shape[:3], [float(zoom) for zoom in scan.header.get_zooms()[:3]]
    thickest = int(np.argmax(edges))
    along = thickest if edges[thickest] > edges[2] * (1 + VOXEL_TOLERANCE) else 2
    if along == 2 and np.allclose(edges, edges[2], rtol=VOXEL_TOLERANCE):
        fewest = int(np.argmin(sizes))
        along = fewest if sizes[fewest] * FEWER_SLICES <= sizes[2] else 2
    if along != 2 and sizes[2] == 1:
        raise CardiouqError(
            f"{path}: shape {scan.shape} with voxels of {in_mm(edges)}: one slice of "
            f"{edges[2]:.5g} mm, thinner than its pixels; expected its thickness. Set it in "
            "`pixdim` and in the sform"
        )
    if along != 2:
        raise CardiouqError(
            f"{path}: shape {scan.shape} with voxels of {in_mm(edges)}: the slices lie along axis "
            f"{along + 1}; expected them along axis 3. Reorder the axes of image and label"
        )


@cache
def _warn_of_repair(path: Path) -> None:
    """Warn of a repaired header once a process, however often the file is opened."""
    log.warning("%s: direction cosines are not orthonormal; the nearest that are stand in", path)


def read_scan(
    path: str | Path, frame: int, *, to_end: bool
) -> tuple[nib.Nifti1Image, NDArray[Any]]:
    """Open a scan and read a volume of it in one go: (slices, rows, columns).

    Args:
        path: of the file.
        frame: which volume of a 4-D file, -1 of a 3-D one.
        to_end: whether to read on to the end, where the checksum of a packed file is.

    Raises:
        CardiouqError: as `open_scan`, if there is no such frame, or the voxels cannot be read;
            `to_end` also if the file is damaged, or of another size than its header says.
    """
    path = Path(path)
    with _opened(path, dimensions_of(frame)) as (image, stream, start):
        shape, voxels = image.shape[:3], image.dataobj
        if frame >= 0 and frame >= image.shape[3]:
            raise CardiouqError(
                f"{path}: frame {frame} is asked for, but it has {image.shape[3]} (first is 0)"
            )
        size = prod(shape) * voxels.dtype.itemsize
        first = voxels.offset + max(frame, 0) * size
        last, whole = first + size, _unpacked(voxels)
        kept, found = bytearray(start[first:last]), len(start)
        while found <= (whole if to_end else last - 1) and (more := stream.read(MOST_HEADER)):
            kept += more[max(first - found, 0) : max(last - found, 0)]
            found += len(more)
        if found != whole and (to_end or found < last):
            raise _other_size(path, whole, "more" if found > whole else f"{found:,}")
        stored = np.ndarray(shape, voxels.dtype, kept, order="F")
        return image, apply_read_scaling(stored, voxels.slope, voxels.inter).T


def read_frames(path: str | Path) -> Iterator[NDArray[Any]]:
    """Read the volumes of a 3-D or 4-D scan one by one, (slices, rows, columns), to its end.

    Raises:
        CardiouqError: as `read_scan`, once the volumes before the damage have been read.
    """
    path = Path(path)
    with _opened(path, 3, 4) as (image, stream, start):
        shape, voxels, whole = image.shape[:3], image.dataobj, _unpacked(image.dataobj)
        size = prod(shape) * voxels.dtype.itemsize
        kept, found = bytearray(start[voxels.offset :]), len(start)
        for _ in range(prod(image.shape[3:])):
            while len(kept) < size and (more := stream.read(MOST_HEADER)):
                kept += more
                found += len(more)
            if len(kept) < size:
                raise _other_size(path, whole, f"{found:,}")
            stored = np.ndarray(shape, voxels.dtype, bytes(kept[:size]), order="F")
            del kept[:size]
            yield apply_read_scaling(stored, voxels.slope, voxels.inter).T
        if kept or stream.read(1):
            raise _other_size(path, whole, "more")


def _other_size(path: Path, whole: int, found: str) -> CardiouqError:
    return CardiouqError(
        f"{path}: expected {whole:,} bytes by its header, found {found}; fetch the file again"
    )


def as_intensities(volume: NDArray[Any], path: str | Path) -> NDArray[np.float32]:
    """The voxels of a scan as float32.

    Raises:
        CardiouqError: if they are not all finite, or all the same.
    """
    with np.errstate(over="ignore"):
        intensities = volume.astype(np.float32)
    if not np.isfinite(intensities).all():
        raise CardiouqError(f"{path}: holds NaN or infinite intensities; expected numbers")
    if intensities.min() == intensities.max():
        raise CardiouqError(f"{path}: every voxel is {volume.min()}; expected a scan")
    return intensities


def load_volume(path: str | Path, frame: int) -> NDArray[Any]:
    """Read a volume as (slices, rows, columns); `frame` picks one of a 4-D file, -1 means none.

    Raises:
        CardiouqError: as `open_scan`, if there is no such frame, or the voxels cannot be read.
    """
    return read_scan(path, frame, to_end=False)[1]


def load_prediction(path: Path) -> NDArray[Any]:
    """Read a NIfTI that `write_volume` wrote, (slices, rows, columns) with samples before them.

    Raises:
        CardiouqError: if it is missing, not as it was made, or cannot be read.
    """
    content = read(path)
    with _one_error(path):
        return np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(content)).dataobj).T


def read_image(case: Case) -> NDArray[np.float32]:
    """Intensities of a case, (slices, rows, columns), in the scanner's arbitrary units.

    Raises:
        CardiouqError: as `load_volume`, or they are others than when the case was listed.
    """
    image = load_volume(case.image, case.frame).astype(np.float32)
    return _as_listed(image, case.image_hash, case.image)


def read_label(case: Case) -> NDArray[np.uint8]:
    """Reference segmentation of a case, (slices, rows, columns), in the project's label order.

    It is `IGNORED` where nobody annotated.

    Raises:
        CardiouqError: as `load_volume`, or they are others than when the case was listed.
    """
    label = in_project_order(load_volume(case.label, case.frame), case.labels, case.label)
    return _as_listed(label, case.label_hash, case.label)


def _as_listed(volume: Volume, listed: str, path: str) -> Volume:
    """The volume, if its hash is the one in the case table; else a CardiouqError."""
    if (found := hash_of(volume)) != listed:
        raise CardiouqError(
            f"{path}: has changed since it was listed: the hash of its voxels is {found}, and "
            f"{listed} in the case table. If it lies in the study's results, delete its folder; if "
            "it is yours, bring it back, or `touch` it to have it listed anew; then run again"
        )
    return volume


def in_project_order(label: NDArray[Any], labels: str, path: str | Path) -> NDArray[np.uint8]:
    """A label with the values on disk, as `labels` names them, in the project's order.

    What scaling left of an integer is that integer.

    Raises:
        CardiouqError: if it holds another value.
    """
    with np.errstate(invalid="ignore"):  # NaN, which is equal to nothing
        if label.dtype.kind == "f":
            nearest = np.rint(label)
            label = np.where(np.abs(label - nearest) <= LABEL_TOLERANCE, nearest, label)
        values = label.astype(np.uint8)
    named = [value for of_name in parse_labels(labels).values() for value in of_name]
    known = np.isin(values, named) & (values == label)
    if not known.all():
        unknown = np.unique(label[~known][:MOST_LOOKED_AT])[:MOST_NAMED]
        raise CardiouqError(
            f"{path}: label values {unknown.tolist()}; expected only {labels}; name others in the "
            "data set's `labels`, as `ignore` if nobody annotated these voxels"
        )
    return to_project(labels)[values]


def write_label(label: NDArray[np.uint8], case: Case, path: Path) -> None:
    """Write a segmentation (slices, rows, columns) as `read_label` reads it from a case's files."""
    write_volume(to_disk(case.labels)[label], case, path)


def write_volume(volume: NDArray[Any], case: Case, path: Path) -> None:
    """Write one of `write_volumes`."""
    write_volumes({path: volume}, case)


def write_volumes(volumes: Mapping[Path, NDArray[Any]], case: Case) -> None:
    """Write volumes as NIfTI with the geometry of the case's image, without its free text.

    Args:
        volumes: file -> (slices, rows, columns), or samples (samples, slices, rows, columns).
        case: whose geometry they have, so that a viewer shows them in the right place.
    """
    image = open_scan(case.image, dimensions_of(case.frame))
    for path, volume in volumes.items():
        header = _header_like(image, volume.dtype)
        with atomic_write(path) as temporary:
            nib.save(nib.Nifti1Image(volume.T, image.affine, header), temporary)


@contextmanager
def frames_writer(
    path: Path, scan: nib.Nifti1Image, dtype: type[np.generic], slope: float = 1.0
) -> Iterator[Callable[[NDArray[Any]], None]]:
    """Yield what writes the volumes of a file with a scan's shape and geometry one after the other.

    Args:
        path: of the file, which ends in `.nii.gz`.
        scan: as `open_scan` gives it.
        dtype: of the voxels as they are stored.
        slope: by which a stored value is multiplied when it is read.
    """
    header = _header_like(scan, np.dtype(dtype))
    unread = np.broadcast_to(np.zeros((), dtype), scan.shape)
    header = nib.Nifti1Image(unread, scan.affine, header).header
    header.set_slope_inter(slope, 0)
    header.set_data_offset(header.single_vox_offset)

    with gzip.open(path, "wb", compresslevel=COMPRESSION) as stream:
        stream.write(header.binaryblock.ljust(header.single_vox_offset, b"\0"))

        def write(volume: NDArray[Any]) -> None:
            stored = np.rint(volume / slope) if slope != 1 else volume
            stream.write(stored.astype(header.get_data_dtype()).tobytes())

        yield write


def _header_like(image: nib.Nifti1Image, dtype: np.dtype[Any]) -> Any:
    """The header of a scan for what is made of it, without its free text."""
    header = image.header.copy()
    for field in FREE_TEXT & set(header.keys()):  # NIfTI-2 has fewer
        header[field] = b""
    header.extensions.clear()
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0  # the image's display window does not fit a label
    return header
