"""DICOM, which dcm2niix converts to NIfTI: what it makes of a folder's series are scans."""

import hashlib
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from cardiouq.apply.output import check_replaced
from cardiouq.apply.scans import LEFT_OUT, SOURCE_FILE, SUFFIXES, files_below, given_below
from cardiouq.apply.series import broken_series
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import atomic_folder, expand_home
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


def as_nifti(asked: str, output: Path) -> str:
    """The path with the NIfTI files of scans: of a folder of DICOM what they are converted to.

    Folders with NIfTI files are left as they are. Nothing is converted again that has not changed.

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
    if any(path.name.endswith(SUFFIXES) for path in files):
        return asked
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        folders[path.parent].append(path)
    of_dicom = {folder: within for folder, within in folders.items() if any(map(_is_dicom, within))}
    if not of_dicom:
        return asked
    check_replaced(output, {output / NIFTI: SOURCE_FILE}, files)
    _convert_if_new(root, of_dicom, output / NIFTI)
    return str(output / NIFTI)


def _is_dicom(path: Path) -> bool:
    """Whether a file is called or begins as DICOM."""
    if path.suffix.lower() == ".dcm":
        return True
    with path.open("rb") as stream:
        return stream.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC


def _convert_if_new(root: Path, folders: Mapping[Path, Sequence[Path]], target: Path) -> None:
    """Convert folders of DICOM to folders of NIfTI of the same names, unless they are there."""
    state = _state_of(root, (path for files in folders.values() for path in files))
    note = target / SOURCE_FILE
    text = note.read_text(encoding="utf-8") if note.is_file() else ""
    of, _, said = text.partition("\n")
    if of == state:
        for warning in said.splitlines():
            log.warning("%s", warning)
        return
    program = _program(root)
    with atomic_folder(target) as written:
        left_out = []
        for folder, files in folders.items():
            made = written / folder.relative_to(root)
            made.mkdir(parents=True, exist_ok=True)
            if wrong := _convert(program, folder, files, made):
                log.warning("%s", wrong)
                left_out.append(wrong)
        if not any(path.name.endswith((*SUFFIXES, LEFT_OUT)) for path in written.rglob("*")):
            raise CardiouqError(
                f"{root}: {DCM2NIIX} makes no scan of its DICOM files; expected series of MRI; "
                "convert them to NIfTI in another way"
            )
        text = "".join(f"{line}\n" for line in (state, *left_out))
        (written / SOURCE_FILE).write_text(text, encoding="utf-8")


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


def _program(root: Path) -> str:
    """Where dcm2niix is, beside this Python or on the path of programs.

    Raises:
        CardiouqError: nowhere, or pydicom is not installed.
    """
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    program = shutil.which(DCM2NIIX, path=os.pathsep.join(folders))
    there = {DCM2NIIX: program, PYDICOM: find_spec(PYDICOM)}
    missing = [name for name, found in there.items() if found is None]
    if program is None or missing:
        raise CardiouqError(
            f"{root}: holds DICOM files, and {missing[0]} is not installed, which is needed to "
            f"convert them; `pip install {' '.join(missing)}`, or convert them to NIfTI yourself"
        )
    return program


def _state_of(root: Path, files: Iterable[Path]) -> str:
    """Text that changes with names, sizes and times of files."""
    found = ((path.relative_to(root), path.stat()) for path in files)
    listed = [f"{root.absolute()}", *(f"{p} {s.st_size} {s.st_mtime_ns}" for p, s in found)]
    return hashlib.sha256("\n".join(listed).encode(errors="surrogateescape")).hexdigest()
