"""Scans that nobody segmented: found, checked and read frame by frame as the network sees them."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cardiouq.data.readers.scans import as_intensities, check_axes, open_scan, read_frames
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import expand_home, visible

SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Frame:
    """One volume of a scan on the grid that it is predicted on, as a `Case` has it.

    Attributes:
        case: its number, from 0.
        slices, rows, columns: of the grid.
        spacing_z, spacing_y, spacing_x: in mm.
    """

    case: str
    slices: int
    rows: int
    columns: int
    spacing_z: float
    spacing_y: float
    spacing_x: float


@dataclass(frozen=True)
class Scan:
    """A scan whose header has been checked, and whose voxels are read frame by frame.

    Attributes:
        path: of the file.
        image: its geometry.
        spacing: (z, y, x) in mm.
    """

    path: Path
    image: nib.Nifti1Image
    spacing: tuple[float, float, float]

    @cached_property
    def sha256(self) -> str:
        """Hash of the file."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    @property
    def n_frames(self) -> int:
        """How many volumes there are; 1 of a 3-D file."""
        return int(np.prod(self.image.shape[3:]))

    def frames(self) -> Iterator[NDArray[np.float32]]:
        """The volumes one by one, (slices, rows, columns), in the scanner's arbitrary units.

        Raises:
            CardiouqError: one cannot be read, or is no scan.
        """
        for number, volume in enumerate(read_frames(self.path), start=1):
            where = f"{self.path}, frame {number}" if self.n_frames > 1 else self.path
            yield as_intensities(volume, where)

    def read_through(self) -> None:
        """Read all of it once, so that what is wrong is known before a long work.

        Raises:
            CardiouqError: as `frames`.
        """
        for _ in self.frames():
            pass


def open_frames(path: Path) -> Scan:
    """Open a scan; its voxels are not read yet.

    Raises:
        CardiouqError: it is none that the benchmark would read (docs/data.md).
    """
    image = open_scan(path, 3, 4)
    check_axes(path, image)
    x, y, z = (float(edge) for edge in image.header.get_zooms()[:3])
    return Scan(path, image, (z, y, x))


def find_scans(asked: str) -> dict[str, Path]:
    """The files that a path names, by the name that their results have.

    Args:
        asked: a file, a folder (with all that are below it), or a pattern as `scans/**/*.nii.gz`.

    Raises:
        CardiouqError: there is none.
    """
    there = expand_home(asked)
    if not asked:
        found = []
    elif there.is_dir():
        found = [path for path in there.rglob("*") if path.name.endswith(SUFFIXES)]
    elif there.is_file():
        found = [there]
    else:
        pattern = str(there.relative_to(there.anchor))
        found = [path for path in Path(there.anchor).glob(pattern) if path.is_file()]
    if not (files := visible(found)):
        raise CardiouqError(
            f"{asked or 'scans'}: no scan is there; expected a NIfTI file, a folder of them or "
            "a pattern in quotes, as 'scans/*_4d.nii.gz'"
        )
    names = {_stem(path): path for path in files}
    if len(names) == len(files):
        return names
    # by the folders in which they differ
    common = os.path.commonpath([path.parent for path in files])
    return {"_".join((*path.parent.relative_to(common).parts, _stem(path))): path for path in files}


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")
