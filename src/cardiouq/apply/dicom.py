"""DICOM, which dcm2niix converts to NIfTI: what it makes of a folder's series are scans."""

import hashlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from cardiouq.apply.output import check_replaced
from cardiouq.apply.scans import (
    LEFT_OUT,
    SOURCE_FILE,
    SUFFIXES,
    files_below,
    given_below,
    is_scan,
)
from cardiouq.apply.series import broken_series
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import HASHES_FILE, atomic_folder, expand_home
from cardiouq.logs import printable

log = logging.getLogger(__name__)

NIFTI = "nifti"
"""Folder of the output for what is made of DICOM."""
DCM2NIIX = "dcm2niix"
PYDICOM = "pydicom"
OPTIONS = {
    "-d": "0",  # this folder alone
    "-f": "%f_%s",  # folder and number of the series
    "-b": "n",  # no sidecar
    "-z": "i",  # packed
    "-x": "i",  # axes as they are
}
PHASES_TOGETHER = "--ignore_trigger_times"
"""Unless told so, dcm2niix makes a file of each phase of some makers' cines."""
INTERPOLATED = re.compile(r"_Eq(_\d+)?(?=\.nii)")
"""In the name of what dcm2niix makes of a scan for equal distances, beside it."""
KILLED = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals from outside; those of a crash, as by a truncated file, would come again."""
MAGIC, PREAMBLE = b"DICM", 128
"""How a DICOM file begins, after so many bytes."""

NO_HASHES = shutil.ignore_patterns(HASHES_FILE)
"""Left out where converted files are copied, as those of the copy are written anew."""
Folders = Mapping[Path, Sequence[Path]]
"""Folder -> the files in it."""


@dataclass(frozen=True)
class Note:
    """What is known of a folder of converted DICOM.

    Attributes:
        version: of dcm2niix.
        state: of the DICOM files and of how they were converted.
        left_out: folders of which not all was converted, below that of all.
    """

    version: str
    state: str
    left_out: list[str]

    def write(self, folder: Path) -> None:
        """Write it to the folder."""
        (folder / SOURCE_FILE).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


def as_nifti(asked: str, output: Path) -> str:
    """The path with the NIfTI files of scans: of a folder of DICOM what they are converted to.

    Folders with NIfTI files are left as they are, with a warning if there is DICOM among them.
    Nothing is converted again that has not changed.

    Args:
        asked: as of `find_scans`.
        output: folder for what comes of the scans.

    Raises:
        CardiouqError: dcm2niix is not installed, or makes nothing of them, or the user's own files
            lie where it would write.
    """
    root = expand_home(asked)
    if not asked or not root.is_dir():
        return asked
    files = given_below(root, (path for path in files_below(root) if path.is_file()))
    has_nifti = any(map(is_scan, files))
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        if not has_nifti or os.access(path, os.R_OK):  # what else lies there stops no scan
            folders[path.parent].append(path)
    of_dicom = {folder: within for folder, within in folders.items() if any(map(_is_dicom, within))}
    if not of_dicom:
        return asked
    if has_nifti:
        log.warning(
            "%s: %d folders of DICOM are left out, as there are NIfTI files, %s the first; give "
            "it by itself to have it converted, or put them where no NIfTI file is",
            asked,
            len(of_dicom),
            next(iter(of_dicom)),
        )
        return asked
    check_replaced(output, {output / NIFTI: SOURCE_FILE}, files)
    _convert_if_new(root, of_dicom, output / NIFTI)
    return str(output / NIFTI)


def _is_dicom(path: Path) -> bool:
    """Whether a file is called or begins as DICOM."""
    if path.suffix.lower() == ".dcm":
        return True
    if is_scan(path):
        return False
    with path.open("rb") as stream:
        return stream.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC


def _convert_if_new(root: Path, folders: Folders, target: Path) -> None:
    """Convert folders of DICOM to folders of NIfTI of the same names, unless they are there.

    Those of which something was left out, as on a full disk, are tried again.
    """
    note = _note_of(target)
    program = _program()
    version = _version_of(program) if program else note.version  # who has all needs no program
    files = [path for within in folders.values() for path in within]
    state = _state_of(root, files, version)
    is_new = note.state != state
    missing = {
        folder: files
        for folder, files in folders.items()
        if is_new or str(folder.relative_to(root)) in note.left_out
    }
    if not missing:
        return
    program = _checked(program, root)
    if is_new:
        with atomic_folder(target) as written:
            left_out = _convert_all(program, root, missing, written)
            if not any(map(is_scan, written.rglob("*"))):
                raise CardiouqError(
                    f"{root}: {DCM2NIIX} makes no scan of its DICOM files; expected series of MRI; "
                    "convert them to NIfTI in another way"
                )
            Note(version, state, left_out).write(written)
        return
    with TemporaryDirectory(dir=target.parent, prefix=".partial-") as temporary:
        again = Path(temporary)
        left_out = _convert_all(program, root, missing, again)
        if left_out == note.left_out and _sizes(again) <= _sizes(target):
            return  # jobs may be reading what is there
        with atomic_folder(target) as written:
            for source in (target, again):
                shutil.copytree(source, written, ignore=NO_HASHES, dirs_exist_ok=True)
            Note(version, state, left_out).write(written)


def _convert_all(program: str, root: Path, folders: Folders, target: Path) -> list[str]:
    """Convert folders; those, below the root, of which something is left out, as is logged."""
    left_out = []
    for folder, files in folders.items():
        name = folder.relative_to(root)
        (target / name).mkdir(parents=True, exist_ok=True)
        if wrong := _convert(program, folder, files, target / name):
            log.warning("%s", wrong)
            left_out.append(str(name))
    return left_out


def _convert(program: str, folder: Path, files: Sequence[Path], made: Path) -> str:
    """Convert the DICOM files of one folder; what to say in one line if some of it is left out.

    Of a series that is not whole comes a note that stands for its scan.

    Raises:
        CardiouqError: dcm2niix was killed, so that nothing is known of the files.
    """
    place = Path(os.path.normpath(folder.absolute()))
    whole = {*files}
    for number, (wrong, of_series) in broken_series(files).items():
        whole -= {*of_series}
        text = printable(
            f"{folder}, series {number}: {wrong}; expected all at one distance, and each equally "
            "often; export the series again, whole, or convert it to NIfTI in another way"
        )
        (made / f"{place.name}_{number}{LEFT_OUT}").write_text(text, encoding="utf-8")
    if not whole:
        return ""
    with TemporaryDirectory() as temporary:
        given = Path(temporary, place.name)
        given.mkdir()
        for path in whole:
            (given / path.name).symlink_to(path.absolute())
        return _run(program, folder, given, made)


def _run(program: str, folder: Path, given: Path, made: Path) -> str:
    """Have dcm2niix convert what is given of a folder, as `_convert` does."""
    options = [word for option in OPTIONS.items() for word in option]
    done = subprocess.run(
        [program, *options, PHASES_TOGETHER, "-o", str(made), str(given)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if -done.returncode in KILLED:
        raise CardiouqError(
            f"{folder}: {DCM2NIIX} was stopped by {signal.Signals(-done.returncode).name} while it "
            "converted it, as where memory is short; give the same command again, or convert it "
            "to NIfTI in another way"
        )
    scans = {path.name for path in made.iterdir() if path.name.endswith(SUFFIXES)}
    for name in scans:
        if INTERPOLATED.sub("", name) in scans - {name}:
            (made / name).unlink()
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).strip().splitlines()[-1:])
        return printable(f"{folder}: {DCM2NIIX} did not convert all of it ({said})")
    return "" if scans else printable(f"{folder}: {DCM2NIIX} makes no scan of it")


def _program() -> str | None:
    """Where dcm2niix is, beside this Python or on the path of programs."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return shutil.which(DCM2NIIX, path=os.pathsep.join(folders))


def _checked(program: str | None, root: Path) -> str:
    """The program; a CardiouqError if it, or pydicom, is not installed."""
    there = {DCM2NIIX: program, PYDICOM: find_spec(PYDICOM)}
    missing = [name for name, found in there.items() if found is None]
    if program is None or missing:
        raise CardiouqError(
            f"{root}: holds DICOM files, and {missing[0]} is not installed, which is needed to "
            f"convert them; `pip install {' '.join(missing)}`, or convert them to NIfTI yourself"
        )
    return program


def _version_of(program: str) -> str:
    """The version that dcm2niix says last of itself."""
    done = subprocess.run(
        [program, "--version"], capture_output=True, encoding="utf-8", errors="replace"
    )
    return "".join(done.stdout.split()[-1:])


def _state_of(root: Path, files: Iterable[Path], version: str) -> str:
    """Text that changes with names, sizes and times of files, and with how they are converted."""
    found = ((path.relative_to(root), path.stat()) for path in files)
    listed = [
        *(version, f"{OPTIONS} {PHASES_TOGETHER}", f"{root.absolute()}"),
        *(f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in found),
    ]
    return hashlib.sha256("\n".join(listed).encode(errors="surrogateescape")).hexdigest()


def _note_of(target: Path) -> Note:
    """The note of an earlier call; an empty one if there is none, or one of another form."""
    file = target / SOURCE_FILE
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    with suppress(ValueError, TypeError):
        return Note(**json.loads(text))
    return Note("", "", [])


def _sizes(folder: Path) -> set[tuple[Path, int]]:
    """Files below a folder, with their sizes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {(path.relative_to(folder), path.stat().st_size) for path in files}
