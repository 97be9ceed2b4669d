"""Reading a case's image and label, and writing volumes back on the case's own grid.

Arrays are (slices, rows, columns), the transpose of the NIfTI array; labels are in the project's
order whatever the order on disk.
"""

import zlib
from math import prod
from pathlib import Path
from typing import Any, Protocol

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from cardiouq.data.labels import to_disk, to_project
from cardiouq.data.pseudonyms import on_disk
from cardiouq.errors import CardiouqError
from cardiouq.files import written_whole

UNREADABLE = (OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error, ImageFileError)
MOST_VOXELS = 2**27
"""Of a volume; one that says it has more is taken for a broken header, before memory is spent."""


FREE_TEXT = {"descrip", "aux_file", "intent_name", "db_name", "data_type"}
"""Fields of a NIfTI header."""


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


def dimensions_of(frame: int) -> int:
    """Of the file that holds a frame, -1 being the only one."""
    return 3 if frame < 0 else 4


def open_scan(path: str | Path, dimensions: int) -> nib.Nifti1Image:
    """Open a NIfTI file; its voxels are not read yet.

    Raises:
        CardiouqError: if it is missing, is no NIfTI, has other dimensions, or says that it is
            larger than any scan.
    """
    path = Path(path)
    file = on_disk(path)
    if not file.is_file():
        raise CardiouqError(f"{path}: missing")
    try:
        image = nib.load(file)
        shape = tuple(int(size) for size in image.shape)
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    if len(shape) != dimensions or min(shape) < 1:
        raise CardiouqError(f"{path}: shape {shape}; expected {dimensions} dimensions")
    if prod(shape[:3]) > MOST_VOXELS:
        raise CardiouqError(
            f"{path}: shape {shape}; expected at most {MOST_VOXELS:,} voxels, so its header is "
            "taken for broken; fetch the file again"
        )
    return image


def load_volume(path: str | Path, frame: int) -> NDArray[Any]:
    """Read a volume as (slices, rows, columns); `frame` picks one of a 4-D file, -1 means none.

    Raises:
        CardiouqError: as `open_scan`, if there is no such frame, or the voxels cannot be read.
    """
    image = open_scan(path, dimensions_of(frame))
    if frame >= 0 and frame >= image.shape[3]:
        raise CardiouqError(
            f"{path}: frame {frame} is asked for, but it has {image.shape[3]} (first is 0)"
        )
    try:
        return np.asarray(image.dataobj if frame < 0 else image.dataobj[..., frame]).T
    except UNREADABLE as error:
        raise _unreadable(Path(path), error) from None


def load_prediction(path: Path) -> NDArray[Any]:
    """Read a NIfTI that `write_volume` wrote: (slices, rows, columns), of samples (samples, slices,
    rows, columns)."""
    return np.asarray(nib.load(path).dataobj).T


def _unreadable(path: Path, error: BaseException) -> CardiouqError:
    """What a library says, without the folder that a pseudonym hides."""
    said = str(error).replace(str(on_disk(path)), str(path))
    return CardiouqError(f"{path}: cannot be read as NIfTI ({said}); fetch the file again")


def read_image(case: Case) -> NDArray[np.float32]:
    """Intensities of a case, (slices, rows, columns), in the scanner's arbitrary units."""
    return load_volume(case.image, case.frame).astype(np.float32)


def read_label(case: Case) -> NDArray[np.uint8]:
    """Reference segmentation of a case, (slices, rows, columns), in the project's label order."""
    return to_project(case.labels)[load_volume(case.label, case.frame).astype(np.uint8)]


def write_label(label: NDArray[np.uint8], case: Case, path: Path) -> None:
    """Write a segmentation (slices, rows, columns) as `read_label` reads it from a case's files."""
    write_volume(to_disk(case.labels)[label], case, path)


def write_volume(volume: NDArray[Any], case: Case, path: Path) -> None:
    """Write a volume (slices, rows, columns) or samples (samples, slices, rows, columns) as NIfTI
    with the geometry of the case's image, so that a viewer shows it in the right place. Its free
    text stays behind, as it may say who was scanned."""
    image = open_scan(case.image, dimensions_of(case.frame))
    header = image.header.copy()
    for field in FREE_TEXT & set(header.keys()):  # NIfTI-2 has fewer
        header[field] = b""
    header.extensions.clear()
    header.set_data_dtype(volume.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0  # the image's display window does not fit a label
    with written_whole(path) as temporary:
        nib.save(nib.Nifti1Image(volume.T, image.affine, header), temporary)
