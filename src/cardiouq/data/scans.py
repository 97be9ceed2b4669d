"""Reading a case's image and label, and writing volumes back on the case's own grid.

Arrays are (slices, rows, columns), the transpose of the NIfTI array; labels are in the project's
order whatever the order on disk.
"""

from pathlib import Path
from typing import Any, Protocol

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cardiouq.files import written_whole
from cardiouq.structures import label_of

LABEL_ORDER = {"acdc": ("RV", "MYO", "LV"), "mnms": ("LV", "MYO", "RV")}
"""Structures in the order of their label values on disk (1, 2, 3), by layout."""


class Case(Protocol):
    """What the rooms ask of a row of the case table (`itertuples`); spacings in mm."""

    case: str
    layout: str
    image: str
    label: str
    frame: int
    slices: int
    rows: int
    columns: int
    spacing_z: float
    spacing_y: float
    spacing_x: float


def load_volume(path: str | Path, frame: int) -> NDArray[Any]:
    """Read a volume as (slices, rows, columns); `frame` picks one of a 4-D file, -1 means 3-D."""
    proxy = nib.load(path).dataobj
    return np.asarray(proxy if frame < 0 else proxy[..., frame]).T


def read_image(case: Case) -> NDArray[np.float32]:
    """Intensities of a case, (slices, rows, columns), in the scanner's arbitrary units."""
    return load_volume(case.image, case.frame).astype(np.float32)


def read_label(case: Case) -> NDArray[np.uint8]:
    """Reference segmentation of a case, (slices, rows, columns), in the project's label order."""
    on_disk = load_volume(case.label, case.frame).astype(np.uint8)
    to_project = np.zeros(256, np.uint8)
    for value, structure in enumerate(LABEL_ORDER[case.layout], start=1):
        to_project[value] = label_of(structure)
    return to_project[on_disk]


def write_label(label: NDArray[np.uint8], case: Case, path: Path) -> None:
    """Write a segmentation (slices, rows, columns) as `read_label` reads it from a case's files."""
    on_disk = np.zeros_like(label)
    for value, structure in enumerate(LABEL_ORDER[case.layout], start=1):
        on_disk[label == label_of(structure)] = value
    write_volume(on_disk, case, path)


def write_volume(volume: NDArray[Any], case: Case, path: Path) -> None:
    """Write a volume (slices, rows, columns) or samples (samples, slices, rows, columns) as NIfTI
    with the geometry of the case's image, so that a viewer shows it in the right place."""
    image = nib.load(case.image)
    header = image.header.copy()
    header.set_data_dtype(volume.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0  # the image's display window does not fit a label
    with written_whole(path) as temporary:
        nib.save(nib.Nifti1Image(volume.T, image.affine, header), temporary)
