"""Getting a public data set: its archive is downloaded, verified and unpacked into a data root.

The root appears by one rename of a finished folder, so a root that exists is whole. Beside it
stand, until then, `<root>.part.zip` (what has been downloaded; another call goes on from there),
`<root>.part.json` (what it is a part of), `<root>.part.lock` (while a call is at work) and
`.partial-<root>` (what has been unpacked; never gone on from).
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import requests

from cardiouq.data.sources import Source
from cardiouq.errors import CardiouqError

log = logging.getLogger(__name__)

MARKER = "source.json"
"""File in a fetched root that says which archive it came from."""

ASSUMED_EXPANSION = 2
"""Bytes unpacked per byte of archive, in the check of free space before anything is known."""

MAX_EXPANSION = 10
"""Archives that unpack to more bytes per byte are refused; scans are compressed already."""

MAX_MEMBERS = 100_000
CHUNK = 1 << 16
TIMEOUT = (30, 60)
"""Seconds to wait for a connection, and for the next bytes."""

LONGEST_WAIT = 60.0
"""Seconds between two tries at most."""

TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
"""Answers of a server that may do better the next time."""


class _TryAgainError(Exception):
    """A try that failed, though the next may not."""


class _BadArchiveError(CardiouqError):
    """The archive is what the table of sources says, and yet cannot be unpacked."""


def fetch(source: Source, root: str | os.PathLike[str], tries: int = 6, wait: float = 2.0) -> None:
    """Download a data set's archive and make `root` the content of its `archive_folder`.

    A root that an earlier call made from the same archive is left as it is. A call that was cut
    off, even killed, is gone on from by the next.

    Args:
        source: an open data set.
        root: a folder that is not there yet, or empty.
        tries: failures in a row, without another 1 % of the archive between them, to give up after.
        wait: seconds before the second try, doubled before each further one.

    Raises:
        CardiouqError: if the data set is not open, the root is taken, space is short, the download
            fails or is not what `source` says, or the archive is damaged or unsafe.
    """
    if source.access != "open":
        raise CardiouqError(
            f"{source.dataset}: given by {source.access} only, so it cannot be downloaded here; "
            f"apply at {source.apply_at}, unpack what you get, and set `{source.dataset}_root` to "
            "its folder"
        )
    root = Path(root).resolve()
    partial = root.with_name(f".partial-{root.name}")
    part = _Part(*(root.with_name(f"{root.name}.part.{kind}") for kind in ("zip", "json", "lock")))
    try:
        if _is_there(source, root):
            log.info("%s: already there, from %s", root, source.url)
            part.remove()  # a call that was killed just after the rename left it
            return
        root.parent.mkdir(parents=True, exist_ok=True)
        with part.locked():
            part.forget_another(source)
            shutil.rmtree(partial, ignore_errors=True)  # of a call that was killed
            _check_space(
                root.parent,
                (1 + ASSUMED_EXPANSION) * source.bytes - min(part.size(), source.bytes),
                f"for the archive of {source.dataset} and what is in it",
            )
            _download(source, part, tries, wait)
            _check_sum(source, part)
            try:
                _unpack(source, part.archive, partial, root)
            except _BadArchiveError:
                part.remove()
                raise
            part.remove()
    except OSError as error:
        raise CardiouqError(
            f"{error.filename or root}: {error.strerror or error}; mend that (room, permissions) "
            "and run it again, what has been downloaded is kept"
        ) from error
    log.info("%s: %s is whole", root, source.dataset)


@dataclass(frozen=True)
class _Part:
    """What has been downloaded of an archive, and the record of what it is a part of."""

    archive: Path
    record: Path
    lock: Path

    def size(self) -> int:
        """Bytes that have been downloaded."""
        return self.archive.stat().st_size if self.archive.exists() else 0

    def etag(self) -> str:
        """The server's name for this version of the file, "" if it gave none."""
        return str(_read_json(self.record).get("etag", ""))

    def describe(self, source: Source, etag: str) -> None:
        """Write the record."""
        self.record.write_text(json.dumps(_identity(source) | {"etag": etag}) + "\n")

    def forget_another(self, source: Source) -> None:
        """Remove a part of another archive; one without a record may be the user's own download."""
        recorded = _read_json(self.record)
        if recorded and any(recorded.get(key) != text for key, text in _identity(source).items()):
            log.warning("%s: part of another archive, removed", self.archive)
            self.remove()

    def remove(self) -> None:
        """Remove archive and record."""
        for path in (self.archive, self.record):
            path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from the same part.

        Raises:
            CardiouqError: if another process has it.
        """
        with self.lock.open("w") as stream:
            if not self._take(stream):
                raise CardiouqError(
                    f"{self.lock}: another process is fetching to the same folder; wait for it to "
                    "end, then run this again if need be"
                )
            try:
                yield
            finally:
                self.lock.unlink(missing_ok=True)

    def _take(self, stream: IO[str]) -> bool:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            log.warning("%s: no lock (%s); let no other process fetch to it", self.lock, error)
        # a process that has just ended may have removed the file that was opened here
        return self.lock.exists() and os.path.samestat(self.lock.stat(), os.fstat(stream.fileno()))


def _identity(source: Source) -> dict[str, str]:
    return {"dataset": source.dataset, "url": source.url, "sha256": source.sha256}


def _read_json(path: Path) -> dict[str, Any]:
    """An object of a JSON file; {} if there is none, as when its writer was killed."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_there(source: Source, root: Path) -> bool:
    """Whether a fetch has made `root`; raises a CardiouqError if something else is there."""
    if not root.exists():
        return False
    held = sorted(path.name for path in root.iterdir()) if root.is_dir() else [root.name]
    if held and _read_json(root / MARKER).get("sha256") != source.sha256:
        some = ", ".join(held[:3]) + (", ..." if len(held) > 3 else "")
        raise CardiouqError(
            f"{root}: holds {len(held)} file(s) or folder(s) ({some}) that do not come from the "
            f"archive of {source.dataset} with sha256 {source.sha256}; expected no folder or an "
            f"empty one: choose another, or, if this is the data set, set `{source.dataset}_root` "
            "to it"
        )
    return bool(held)


def _check_space(folder: Path, needed: int, what_for: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CardiouqError(
            f"{folder}: {free:,} bytes free, {needed:,} needed {what_for}; make room or choose a "
            "folder on another disk, then run it again"
        )


def _download(source: Source, part: _Part, tries: int, wait: float) -> None:
    """Bring the part to the archive's full size, over as many connections as it takes."""
    if part.size() > source.bytes:
        part.remove()
    failures = 0
    furthest = part.size()
    while part.size() < source.bytes:
        reason = "the connection ended early"
        try:
            _try(source, part)
        except (
            _TryAgainError,
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            reason = str(error)
        except requests.RequestException as error:
            raise CardiouqError(f"{source.url}: {error}; {_by_hand(source)}") from error
        size = part.size()
        if size == source.bytes:
            break
        if size >= furthest + source.bytes / 100:
            failures, furthest = 0, size
        failures += 1
        if failures >= tries:
            raise CardiouqError(
                f"{source.url}: {size:,} of {source.bytes:,} bytes after {tries} failures in a "
                f"row, the last: {reason}; run it again to go on from there, or {_by_hand(source)}"
            )
        log.warning("%s at %s of %s bytes, trying again", reason, f"{size:,}", source.bytes)
        time.sleep(min(wait * 2 ** (failures - 1), LONGEST_WAIT))


def _try(source: Source, part: _Part) -> None:
    """One request: add to the part what comes of the rest, or all of it if only that can be had.

    Raises:
        CardiouqError: if trying again is of no use.
        _TryAgainError: if it may be.
    """
    have = part.size()
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if part.etag():
            headers["If-Range"] = part.etag()  # the rest of this version, else all of the new one
    with requests.get(source.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        _check_answer(source, part, answer)
        etag = answer.headers.get("ETag", "")
        with part.archive.open("ab" if answer.status_code == 206 else "wb") as stream:
            # a weak etag (W/"...") does not promise the same bytes
            part.describe(source, "" if etag.startswith("W/") else etag)
            reported = 20 * stream.tell() // source.bytes
            for chunk in answer.iter_content(CHUNK):
                stream.write(chunk)
                got = stream.tell()
                if got > source.bytes:
                    raise _another_size(source, part, f"more than {source.bytes:,}")
                if 20 * got // source.bytes > reported:
                    reported = 20 * got // source.bytes
                    log.info("%s: %d %% of %s bytes", source.dataset, 5 * reported, source.bytes)


def _check_answer(source: Source, part: _Part, answer: requests.Response) -> None:
    """Raise as `_try` does, unless the answer is the archive (200) or the rest of it (206)."""
    code = answer.status_code
    if code in TRANSIENT:
        raise _TryAgainError(f"HTTP {code} {answer.reason}")
    if code not in (200, 206, 416):
        raise CardiouqError(
            f"{source.url}: HTTP {code} {answer.reason}, expected the archive of {source.dataset}; "
            f"{_by_hand(source)}"
        )
    told = answer.headers.get("Content-Range", "")
    place = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", told)
    total = place[2] if place else "*"
    if code == 200 and "Content-Encoding" not in answer.headers:
        total = answer.headers.get("Content-Length", "*")
    if total.isdigit() and int(total) != source.bytes:
        raise _another_size(source, part, f"{int(total):,}")
    etag = answer.headers.get("ETag", "")
    starts_elsewhere = not place or place[1] != str(part.size())
    is_another = bool(part.etag() and etag and etag != part.etag())
    if code == 416 or (code == 206 and (starts_elsewhere or is_another)):
        part.remove()
        raise _TryAgainError(f"HTTP {code} that is not the rest of the file ({told or 'no range'})")


def _another_size(source: Source, part: _Part, found: str) -> CardiouqError:
    """The error on a file of another size than the table's; what there is of it is removed."""
    part.remove()
    return CardiouqError(
        f"{source.url}: the file has {found} bytes, expected {source.bytes:,}: it has changed, or "
        f"the table of sources is wrong; {_by_hand(source)}"
    )


def _by_hand(source: Source) -> str:
    return f"see {source.apply_at} for how to get it by hand"


def _check_sum(source: Source, part: _Part) -> None:
    log.info("%s: checking", part.archive)
    with part.archive.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != source.sha256:
        part.remove()
        raise CardiouqError(
            f"{source.url}: sha256 of the download is {found}, expected {source.sha256}; it was "
            "removed: run it again, and if the same is found the archive has changed: "
            f"{_by_hand(source)}"
        )


def _unpack(source: Source, path: Path, partial: Path, root: Path) -> None:
    """Unpack a verified archive to the folder `partial` and rename it to `root`."""
    try:
        with _readable(source):
            archive = zipfile.ZipFile(path)
        with archive:
            inside = _members_inside(source, archive)
            total = sum(info.file_size for info in inside.values())
            log.info("%s: unpacking %d members, %s bytes", path, len(inside), f"{total:,}")
            _check_space(root.parent, total, f"to unpack {path}, which is kept")
            partial.mkdir()
            for name, info in inside.items():
                _unpack_member(source, archive, info, partial / name)
        (partial / MARKER).write_text(json.dumps(_identity(source), indent=1) + "\n")
        for synced in (partial / MARKER, *(Path(folder) for folder, _, _ in os.walk(partial))):
            _sync(synced)
        partial.replace(root)
        _sync(root.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sync(path: Path) -> None:
    """Have a file or folder on disk before the rename is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _readable(source: Source) -> Iterator[None]:
    """Say which archive is damaged, whatever `zipfile` and its decompressors raise on one."""
    try:
        yield
    except Exception as error:  # OSError too, on an offset that is nowhere
        raise _BadArchiveError(
            f"{source.url}: the archive is damaged ({error}); {_by_hand(source)}"
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
        raise _BadArchiveError(
            f"{source.url}: {info.filename} in the archive has {written:,} bytes, its header says "
            f"{info.file_size:,}; {_by_hand(source)}"
        )


def _members_inside(source: Source, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Members in the archive's folder, by path below it; all members are checked.

    Raises:
        CardiouqError: if a member is unsafe, the whole too large, or the folder is not there.
    """
    members = archive.infolist()
    total = sum(info.file_size for info in members)
    if total > MAX_EXPANSION * source.bytes or len(members) > MAX_MEMBERS:
        raise _BadArchiveError(
            f"{source.url}: the archive of {source.bytes:,} bytes declares {len(members):,} "
            f"members of {total:,} bytes; expected {MAX_MEMBERS:,} members and "
            f"{MAX_EXPANSION} times its size at most; {_by_hand(source)}"
        )
    problems = _unsafe(members)
    if problems:
        raise _BadArchiveError(
            f"{source.url}: {len(problems)} member(s) of the archive are unsafe to unpack, such as "
            f"{problems[0]}; expected files and folders below the archive's own; nothing was "
            f"unpacked, {_by_hand(source)}"
        )
    folder = f"{source.archive_folder}/"
    inside = {
        info.filename.removeprefix(folder): info
        for info in members
        if info.filename.startswith(folder) and info.filename != folder
    }
    if not any(not info.is_dir() for info in inside.values()):
        top = sorted({info.filename.split("/")[0] for info in members})
        raise _BadArchiveError(
            f"{source.url}: no files in {source.archive_folder} of the archive, found {top[:5]}; "
            f"expected the content of the data root there; {_by_hand(source)}"
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
