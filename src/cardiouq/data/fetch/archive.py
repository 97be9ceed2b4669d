"""Unpacking of a data set's archive, of which only the folder asked for is written."""

import logging
import os
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cardiouq.data.fetch.sources import Source
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import check_disk_space

log = logging.getLogger(__name__)

MAX_EXPANSION = 10
"""Largest number of bytes unpacked per byte of archive; scans are compressed already."""

MAX_MEMBERS = 100_000
CHUNK = 1 << 16


class BadArchiveError(CardiouqError):
    """An archive that is what the table of sources says, and yet cannot be unpacked."""


def unpack(source: Source, path: Path, folder: Path) -> None:
    """Unpack the `source.archive_folder` of a verified archive into a new folder.

    Raises:
        BadArchiveError: if the archive is damaged, unsafe, too large or has no such folder.
        CardiouqError: if space is short.
    """
    with _readable(source):
        archive = zipfile.ZipFile(path)
    with archive:
        inside = _members_inside(source, archive)
        total = sum(info.file_size for info in inside.values())
        log.info("%s: unpacking %d members, %s bytes", path, len(inside), f"{total:,}")
        check_disk_space(folder.parent, total, f"to unpack {path}, which is kept")
        folder.mkdir()
        for name, info in inside.items():
            _unpack_member(source, archive, info, folder / name)


@contextmanager
def _readable(source: Source) -> Iterator[None]:
    """Say which archive is damaged, whatever `zipfile` and its decompressors raise on one."""
    try:
        yield
    except Exception as error:  # OSError too, on an offset that is nowhere
        raise BadArchiveError(
            f"{source.url}: the archive is damaged ({error}); {source.by_hand}"
        ) from error


def _pieces(source: Source, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with _readable(source), archive.open(info) as packed:
        while piece := packed.read(CHUNK):
            yield piece


def _unpack_member(
    source: Source, archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path
) -> None:
    if info.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # zipfile gives no more bytes than declared, so that what is written stays within the bound,
    # and its check of the CRC then finds that some are missing
    with target.open("xb") as stream:
        for piece in _pieces(source, archive, info):
            stream.write(piece)
        written = stream.tell()
        stream.flush()
        os.fsync(stream.fileno())
    if written != info.file_size:
        raise BadArchiveError(
            f"{source.url}: {info.filename} in the archive has {written:,} bytes, its header says "
            f"{info.file_size:,}; {source.by_hand}"
        )


def _members_inside(source: Source, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Members in the archive's folder, by path below it; all members are checked.

    Raises:
        CardiouqError: if a member is unsafe, the whole too large, or the folder is not there.
    """
    members = archive.infolist()
    total = sum(info.file_size for info in members)
    if total > MAX_EXPANSION * source.bytes or len(members) > MAX_MEMBERS:
        raise BadArchiveError(
            f"{source.url}: the archive of {source.bytes:,} bytes declares {len(members):,} "
            f"members of {total:,} bytes; expected {MAX_MEMBERS:,} members and "
            f"{MAX_EXPANSION} times its size at most; {source.by_hand}"
        )
    problems = _unsafe(members)
    if problems:
        raise BadArchiveError(
            f"{source.url}: {len(problems)} member(s) of the archive are unsafe to unpack, such as "
            f"{problems[0]}; expected files and folders below the archive's own; nothing was "
            f"unpacked, {source.by_hand}"
        )
    folder = f"{source.archive_folder}/"
    inside = {
        info.filename.removeprefix(folder): info
        for info in members
        if info.filename.startswith(folder) and info.filename != folder
    }
    if not any(not info.is_dir() for info in inside.values()):
        top = sorted({info.filename.split("/")[0] for info in members})
        raise BadArchiveError(
            f"{source.url}: no files in {source.archive_folder} of the archive, found {top[:5]}; "
            f"expected the content of the data root there; {source.by_hand}"
        )
    return inside


def _unsafe(members: Sequence[zipfile.ZipInfo]) -> list[str]:
    """What keeps members from being unpacked, in words; names as they stand in the archive."""
    names = [info.filename.removesuffix("/") for info in members]
    given = Counter(names)
    files = {info.filename for info in members if not info.is_dir()}
    problems: list[str] = []
    for info, name in zip(members, names, strict=True):
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not packed on Unix
        steps = name.split("/")
        above = {"/".join(steps[:depth]) for depth in range(1, len(steps))}
        found = [
            (info.filename != info.orig_filename or "\\" in name, "a character not of file names"),
            (name.startswith("/"), "an absolute path"),
            (any(re.match("[A-Za-z]:", step) for step in steps), "a drive letter"),
            (bool({"", ".", ".."} & set(steps)), "a path with an empty step, `.` or `..`"),
            (kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG), "a link or special"),
            (bool(info.flag_bits & 1), "encrypted"),
            (given[name] > 1, "given more than once"),
            (bool(above & files), "below a file"),
        ]
        problems += [f"{info.orig_filename!r} ({words})" for is_so, words in found if is_so][:1]
    return problems
