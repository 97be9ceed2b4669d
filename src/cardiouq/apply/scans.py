"""Scans that nobody segmented: found, checked and read frame by frame as the network sees them."""

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, takewhile
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cardiouq.data.readers.pseudonyms import check_named_apart
from cardiouq.data.readers.scans import as_intensities, check_axes, open_scan, read_frames
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import HASHES_FILE, expand_home, visible
from cardiouq.logs import printable

log = logging.getLogger(__name__)

SUFFIXES = (".nii.gz", ".nii")
LEFT_OUT = ".left_out.txt"
"""Ends the name of a note that stands for a scan, of a series that was not converted, and says
why."""
WITHOUT_WILDCARD = re.compile(r"[^*?[]*").fullmatch
"""Whether a part of a path is itself, and not a pattern."""
FINDINGS_FILE, SOURCE_FILE = "findings.json", "source.txt"
"""In the folder of a scan's results all numbers; in that of converted DICOM what it was made of."""
LABEL_MARKS = ("_gt", "_seg")
LABEL_PREFIX = "label_"
"""What names of label maps have in addition to those of their scans, as ACDC's, M&Ms' and, in
front, UK Biobank's."""
IMAGES, LABELS = "images", "labels"
"""How nnU-Net's folders of scans, `<case>_0000`, and of their label maps, `<case>`, begin."""


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

    @property
    def is_oriented(self) -> bool:
        """Whether the file says where its axes point; else nibabel makes an affine up."""
        return any(self.image.header[code] != 0 for code in ("qform_code", "sform_code"))

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
        CardiouqError: it is none that the benchmark would read (docs/data.md), or a note of why
            there is none.
    """
    if path.name.endswith(LEFT_OUT):
        raise CardiouqError(path.read_text(encoding="utf-8"))
    image = open_scan(path, 3, 4)
    check_axes(path, image)
    x, y, z = (float(edge) for edge in image.header.get_zooms()[:3])
    return Scan(path, image, (z, y, x))


def find_scans(asked: str) -> dict[str, Path]:
    """The files that a path names, by the name that their results have.

    A name is a file's path below the folder that is asked for, so that it stays the same whatever
    else is there: `p1/sa.nii.gz` is `p1_sa`. A folder that the next part begins with is not said
    twice: `p1/p1_4d.nii.gz` is `p1_4d`.

    Args:
        asked: a file, a folder (with all that are below it), or a pattern as `scans/**/*.nii.gz`.

    Raises:
        CardiouqError: there is none, two have one name, or they name participants of gated data.
    """
    there = expand_home(asked)
    if not asked:
        base, found = there, []
    elif there.is_dir():
        base, found = there, [path for path in files_below(there) if is_scan(path)]
    elif there.is_file():
        base, found = there.parent, [there]
    else:
        base = Path(*takewhile(WITHOUT_WILDCARD, there.parts))
        found = _matches(base, there.relative_to(base).parts)
    if not (files := _without_labels(asked, given_below(base, found))):
        raise CardiouqError(
            f"{asked or 'scans'}: no scan is there; expected a NIfTI file, a folder of them or "
            "a pattern in quotes, as 'scans/*_4d.nii.gz' (what comes of scans is none)"
        )
    named: dict[str, Path] = {}
    for path in files:
        name = _name(path.relative_to(base))
        if name in named:
            raise CardiouqError(
                f"{named[name]} and {path}: the results of both would be called {name!r}; rename "
                "one of them, or move it away"
            )
        named[name] = path
    return named


def is_scan(path: Path) -> bool:
    """Whether a file is a scan by its name, or a note that stands for one."""
    return path.name.lower().endswith((*SUFFIXES, LEFT_OUT))


def files_below(folder: Path) -> list[Path]:
    """All files below a folder, links that lead nowhere among them."""
    return [path for _, files in _walked(folder) for path in files]


def _walked(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """A folder and those below it, each with its files; a link into what it lies in is none."""
    inside: dict[Path, set[Path]] = {root: set()}
    for name, folders, files in os.walk(root, followlinks=True):
        here = Path(name)
        around = inside.pop(here) | {here.resolve()}
        folders[:] = [below for below in folders if (here / below).resolve() not in around]
        inside |= {here / below: around for below in folders}
        yield here, [here / file for file in files]


def _matches(base: Path, pattern: Sequence[str]) -> list[Path]:
    """The files below a folder whose paths have the parts of a pattern; `**` is any folders."""
    found = {base}
    for part in pattern:
        if part == "**":
            found = {folder for path in found for folder, _ in _walked(path)}
        else:
            found = {match for path in found for match in path.glob(part)}
    return [path for path in found if path.is_file()]


def given_below(base: Path, found: Iterable[Path]) -> list[Path]:
    """Sort the files below a folder, and leave out hidden ones and those that `apply` wrote.

    What it wrote lies among the scans where its output is a folder of theirs.

    Raises:
        CardiouqError: their paths name participants of gated data.
    """
    files = visible(found)
    check_named_apart(files)
    folders = {folder for path in files for folder in path.parents if folder.is_relative_to(base)}
    ours = {folder for folder in folders - {base} if not visible([folder]) or _is_ours(folder)}
    return [path for path in files if ours.isdisjoint(path.parents)]


def _is_ours(folder: Path) -> bool:
    """Whether a folder is one that `apply` wrote, whole, for what comes of a scan."""
    return (folder / HASHES_FILE).is_file() and any(
        (folder / note).is_file() for note in (FINDINGS_FILE, SOURCE_FILE)
    )


def _without_labels(asked: str, files: Sequence[Path]) -> list[Path]:
    """The files that are not, by their names, label maps of others among them."""
    known = {(path.parent, _stem(path)) for path in files}
    kept = [path for path in files if known.isdisjoint(_labelled(path))]
    if labels := sorted({*files} - {*kept}):
        log.warning(
            "%s: %d files are left out, as by their names they are label maps of scans that are "
            "there (SCAN_gt, SCAN_seg, label_SCAN, or labelsTr beside imagesTr), %s the first; a "
            "pattern that names them alone segments them, too",
            asked,
            len(labels),
            labels[0],
        )
    return kept


def _labelled(path: Path) -> Iterator[tuple[Path, str]]:
    """Folder and name of the scans that a file may be the label map of, were they there."""
    folder, name = path.parent, _stem(path)
    yield from ((folder, name.removesuffix(m)) for m in LABEL_MARKS if name.endswith(m))
    if name.startswith(LABEL_PREFIX):
        yield folder, name.removeprefix(LABEL_PREFIX)
    if folder.name.startswith(LABELS):
        images = folder.with_name(IMAGES + folder.name.removeprefix(LABELS))
        yield images, f"{name}_0000"


def _name(path: Path) -> str:
    """The name of a scan by its path below the folder that is asked for."""
    parts = [*path.parent.parts, _stem(path)]
    said = [
        part
        for part, below in pairwise(parts)
        if not re.match(rf"{re.escape(part)}(?![^\W_])", below)  # a word of its own in it
    ]
    return printable("_".join([*said, parts[-1]]))


def _stem(path: Path) -> str:
    """The name of a file without what tells its format, in whatever letters."""
    return re.sub(rf"({re.escape(LEFT_OUT)}|(\.nii)?(\.gz)?)$", "", path.name, flags=re.IGNORECASE)
