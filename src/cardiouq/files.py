"""Files and folders that are written whole or not at all."""

import errno
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from cardiouq.errors import OF_THE_DISK, CardiouqError, in_words
from cardiouq.locks import ENDING, alone

ROOM = 2**20
"""Bytes that Snakemake's own notes of a study may take."""


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
"""Names of folders that computers and drives make by themselves, beside those that begin with a
dot."""


def visible(paths: Iterable[Path]) -> list[Path]:
    """Paths in order, without those that Macs and network drives leave among a user's files, such
    as `._scan.nii.gz`."""
    return sorted(p for p in paths if not p.name.startswith(".") and p.name not in CLUTTER)


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, else removed.

    The temporary name keeps the suffixes (`.nii.gz`), as many writers choose the format by them.
    """
    with _renamed_to(Path(path)) as temporary:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())


@contextmanager
def folder_written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The same for a folder, which is empty at first."""
    with _renamed_to(Path(path)) as temporary:
        temporary.mkdir()
        yield temporary


@contextmanager
def _renamed_to(target: Path) -> Iterator[Path]:
    """Two processes that write the same do it one after the other, so whatever else is on the way
    to `target` belongs to one that was killed."""
    temporary = _beside(target)
    with blamed_on(target), alone(target):
        try:
            for leftover in _left_behind(target.parent):
                if re.fullmatch(rf"\.partial-[0-9a-f]+-{re.escape(target.name)}", leftover.name):
                    _remove(leftover)
            yield temporary
            if temporary.is_dir() and target.is_dir():  # another process made it meanwhile
                replaced = target.replace(_beside(target))
                temporary.replace(target)
                _remove(replaced)
            else:
                temporary.replace(target)
        finally:
            with suppress(OSError):  # it would hide why writing failed
                _remove(temporary)


def _beside(target: Path) -> Path:
    """A temporary name that no other process has, on any host."""
    return target.with_name(f".partial-{secrets.token_hex(4)}-{target.name}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@cache
def _left_behind(folder: Path) -> list[Path]:
    """Temporary files of killed processes: those that a folder had when this one first wrote."""
    return list(folder.glob(".partial-*"))


@contextmanager
def blamed_on(path: Path) -> Iterator[None]:
    """Have a failure of the disk raised as an `OSError` that tells its reason and names `path`,
    unless it names another file; libraries leave out one or both."""
    try:
        yield
    except OSError as error:
        if error.errno is None and re.search(r"\d+ requested and \d+ written", str(error)):
            # numpy; it forgets the reason, and a disk that takes a part only is full
            raise OSError(errno.ENOSPC, str(error), str(path)) from error
        name = Path(error.filename or "").name
        is_temporary = name.startswith(".partial-") or name.endswith(ENDING)
        if error.errno in OF_THE_DISK and (is_temporary or not error.filename):
            error.filename = str(path)
        raise


def expanded(path: str) -> Path:
    """A path with `~` as the home folder that a shell takes it for.

    Raises:
        CardiouqError: for the home of a user that this machine does not know.
    """
    try:
        return Path(path).expanduser() if path.startswith("~") else Path(path)  # not of `./~`
    except RuntimeError as error:
        raise CardiouqError(f"{path}: no such home folder ({error}); write it out") from error


def check_space(folder: Path, needed: int, what_for: str) -> None:
    """Raise a CardiouqError unless a folder's disk has so many bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CardiouqError(
            f"{folder}: {free:,} bytes free, {needed:,} needed {what_for}; make room or choose a "
            "folder on another disk, then run it again"
        )


def check_room(*folders: Path) -> None:
    """Raise a CardiouqError unless a little can be written to each of some folders, which may yet
    have to be made: Snakemake's own notes on a full disk end in its traceback."""
    for there in dict.fromkeys(_nearest(folder) for folder in folders):
        if not there.is_dir():
            found = f"a link to {there.readlink()}, no folder" if there.is_symlink() else "a file"
            raise CardiouqError(
                f"{there}: is {found}; expected a folder, or nothing. Make the folder that it "
                "should be, or move it away"
            )
        try:
            with blamed_on(there), tempfile.TemporaryFile(dir=there, prefix=".partial-") as stream:
                stream.write(bytes(ROOM))
        except PermissionError as error:
            raise CardiouqError(
                f"{there}: may not be written to ({error.strerror}); have its permissions changed, "
                "or work in another folder (`--directory FOLDER`)"
            ) from error
        except OSError as error:
            raise CardiouqError(in_words(error) or f"{there}: {error}") from error


def _nearest(folder: Path) -> Path:
    """The folder, or what there is of the way to it."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))
