"""Atomic writing of files and folders, with the SHA-256 of what was written.

A file or folder is complete or not there. The hash of a file stands in a file beside it, those of a
folder in one file in it, both as coreutils' `sha256sum` writes and checks them. `reading.py`
compares them with what is read.
"""

import errno
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from cardiouq.errors import DISK_ERRORS, CardiouqError, user_message
from cardiouq.files.locks import LOCK_SUFFIX, exclusive_lock

NOTES_BYTES = 2**20
"""Bytes that Snakemake's own notes of a study may take."""
HASHES_FILE = "SHA256SUMS"
"""File with the hash of every file of a folder that one job makes."""

CLUTTER = {
    "__MACOSX",
    "@eaDir",
    "@Recycle",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "Network Trash Folder",
    "lost+found",
}
"""Folders that computers and drives make by themselves, beside those that begin with a dot."""


def visible(paths: Iterable[Path]) -> list[Path]:
    """Sort paths and leave out what Macs and network drives put among files, as `._scan.nii.gz`."""
    return sorted(p for p in paths if not p.name.startswith(".") and p.name not in CLUTTER)


def hash_file_of(path: Path) -> Path:
    """Path of the file that holds the hash of a file which does not have a folder of its own."""
    return path.with_name(f".{path.name}.sha256")


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, else removed.

    The temporary name keeps the suffixes (`.nii.gz`), as many writers choose the format by them.
    """
    with _renamed_to(Path(path)) as temporary:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder, which takes the place of `path` on success; else it is removed.

    Of a link it takes the place of what that leads to, so `models/current` stays a link.
    """
    target = Path(path)
    with _renamed_to(
        Path(os.path.realpath(target)) if target.is_symlink() else target
    ) as temporary:
        temporary.mkdir()
        yield temporary


def write_folder_hashes(folder: Path) -> None:
    """Note the hashes of all files of a folder in one file, in place of one for each."""
    hashes = hashes_of(folder)
    write_hashes(folder / HASHES_FILE, hashes)
    for name in hashes:
        hash_file_of(folder / name).unlink(missing_ok=True)


def hashes_of(folder: Path) -> dict[str, str]:
    """Path in a folder -> hash of every file there that is not hidden, as noted or computed now."""
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {
        str(name): read_hashes(hash_file_of(folder / name)).get(name.name) or _hash(folder / name)
        for name in names
        if not any(part.startswith(".") for part in name.parts)
    }


def write_hashes(path: Path, hashes: Mapping[str, str]) -> None:
    """Write hashes as `sha256sum` does."""
    lines = [f"{digest}  {name}\n" for name, digest in hashes.items()]
    with disk_errors_naming(path):
        path.write_text("".join(lines), encoding="utf-8")


def read_hashes(path: Path) -> dict[str, str]:
    """Path -> hash in a file of `sha256sum`'s; none if it is missing or its writer was killed.

    Raises:
        CardiouqError: it holds something else.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    lines = [re.fullmatch(r"([0-9a-f]{64})  (.+)", line) for line in text.splitlines()]
    if not all(lines):
        raise CardiouqError(
            f"{path}: line {lines.index(None) + 1} is no SHA-256 and path, as `sha256sum` writes "
            "them; delete it, and the file or folder that it is of, and run again"
        )
    return {line[2]: line[1] for line in lines if line}


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _renamed_to(target: Path) -> Iterator[Path]:
    """Rename what is written to `target`; as others wait, leftovers are of killed ones."""
    temporary = _beside(target)
    with disk_errors_naming(target), exclusive_lock(target):
        try:
            for leftover in _left_behind(target.parent):
                if re.fullmatch(rf"\.partial-[0-9a-f]+-{re.escape(target.name)}", leftover.name):
                    _remove(leftover)
            yield temporary
            _put(temporary, target)
        finally:
            with suppress(OSError):  # it would hide why writing failed
                _remove(temporary)


def _beside(target: Path) -> Path:
    """A temporary name that no other process has, on any host."""
    return target.with_name(f".partial-{secrets.token_hex(4)}-{target.name}")


def _put(temporary: Path, target: Path) -> None:
    """Rename what was written, and note its hash.

    The hash of an older file goes first and that of the new one comes last: killed at any moment,
    this leaves no file with another's.
    """
    if temporary.is_dir():
        write_folder_hashes(temporary)
        replaced = _beside(target)
        with suppress(FileNotFoundError):
            target.replace(replaced)
        temporary.replace(target)
        _remove(replaced)
        return
    digest = _hash(temporary)
    hash_file_of(target).unlink(missing_ok=True)
    temporary.replace(target)
    write_hashes(hash_file_of(target), {target.name: digest})


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@cache
def _left_behind(folder: Path) -> list[Path]:
    """Temporary files of killed processes: those that a folder had when this one first wrote."""
    return list(folder.glob(".partial-*"))


@contextmanager
def disk_errors_naming(path: Path) -> Iterator[None]:
    """Have a failure of the disk raised as an `OSError` with its reason and the name of a file.

    That is `path`, unless the error names another; libraries leave out one or both.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None and re.search(r"\d+ requested and \d+ written", str(error)):
            # numpy; it forgets the reason, and a disk that takes a part only is full
            raise OSError(errno.ENOSPC, str(error), str(path)) from error
        name = Path(error.filename or "").name
        is_temporary = name.startswith(".partial-") or name.endswith(LOCK_SUFFIX)
        if error.errno in DISK_ERRORS and (is_temporary or not error.filename):
            error.filename = str(path)
        raise
    except Exception as error:
        # matplotlib fails once more while it closes a file that the disk did not take
        first = error.__context__
        if isinstance(first, OSError) and first.errno in DISK_ERRORS:
            raise OSError(first.errno, first.strerror, str(path)) from error
        raise


def expand_home(path: str) -> Path:
    """Expand `~` in a path to the home folder that a shell takes it for.

    Raises:
        CardiouqError: for the home of a user that this machine does not know.
    """
    try:
        return Path(path).expanduser() if path.startswith("~") else Path(path)  # not of `./~`
    except RuntimeError as error:
        raise CardiouqError(f"{path}: no such home folder ({error}); write it out") from error


def check_disk_space(folder: Path, needed: int, what_for: str) -> None:
    """Raise a CardiouqError unless a folder's disk has so many bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CardiouqError(
            f"{folder}: {free:,} bytes free, {needed:,} needed {what_for}; make room or choose a "
            "folder on another disk, then run it again"
        )


def check_writable(*folders: Path) -> None:
    """Raise a CardiouqError unless folders can be written to; Snakemake's notes would crash it."""
    for there in dict.fromkeys(_nearest(folder) for folder in folders):
        if not there.is_dir():
            found = f"a link to {there.readlink()}, no folder" if there.is_symlink() else "a file"
            raise CardiouqError(
                f"{there}: is {found}; expected a folder, or nothing. Make the folder that it "
                "should be, or move it away"
            )
        try:
            with (
                disk_errors_naming(there),
                tempfile.TemporaryFile(dir=there, prefix=".partial-") as stream,
            ):
                stream.write(bytes(NOTES_BYTES))
        except PermissionError as error:
            raise CardiouqError(
                f"{there}: may not be written to ({error.strerror}); have its permissions changed, "
                "or work in another folder (`--directory FOLDER`)"
            ) from error
        except OSError as error:
            raise CardiouqError(user_message(error) or f"{there}: {error}") from error


def _nearest(folder: Path) -> Path:
    """The folder, or what there is of the way to it."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))
