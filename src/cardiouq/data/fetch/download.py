"""Download of a public data set: its archive is fetched, verified and unpacked to a data root.

The root appears by one rename of a finished folder, so a root that exists is whole. Beside it
stand, until then, `<root>.part.zip` (what has been downloaded; another call goes on from there),
`<root>.part.json` (what it is a part of), `<root>.part.lock` (while a call is at work) and
`.partial-<root>` (what has been unpacked; never gone on from).
"""

import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from cardiouq.data.fetch.archive import CHUNK, BadArchiveError, unpack
from cardiouq.data.fetch.sources import Source
from cardiouq.errors import CardiouqError
from cardiouq.files.locks import try_lock
from cardiouq.files.writing import check_disk_space

log = logging.getLogger(__name__)

MARKER = "source.json"
"""File in a fetched root that says which archive it came from."""

ASSUMED_EXPANSION = 2
"""Bytes per byte of archive that unpacking is assumed to take before anything is known."""

TIMEOUT = (30, 60)
"""Seconds to wait for a connection, and for the next bytes."""

LONGEST_WAIT = 60.0
"""Longest wait between two tries, in seconds."""

TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses after which a server may do better the next time."""


class _TryAgainError(Exception):
    """A try that failed, though the next may not."""


def fetch(source: Source, root: str | os.PathLike[str], tries: int = 6, wait: float = 2.0) -> None:
    """Download a data set's archive and make `root` the content of its `archive_folder`.

    A root that an earlier call made from the same archive is left as it is. A call that was cut
    off, even killed, is gone on from by the next.

    Args:
        source: an open data set.
        root: a folder that is not there yet, or empty, and on its parent's disk.
        tries: failures in a row, without another 1 % of the archive between them, to give up after.
        wait: seconds before the second try, doubled before each further one.

    Raises:
        CardiouqError: if the data set is not open, the root is taken or a mount point, space is
            short, the download fails or is not what `source` says, or the archive is damaged or
            unsafe.
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
        if root.is_mount():
            raise CardiouqError(
                f"{root}: is where a disk is mounted, which no download can replace; expected a "
                f"folder in it, such as {root / source.dataset}"
            )
        root.parent.mkdir(parents=True, exist_ok=True)
        with part.locked():
            part.forget_another(source)
            shutil.rmtree(partial, ignore_errors=True)  # of a call that was killed
            check_disk_space(
                root.parent,
                (1 + ASSUMED_EXPANSION) * source.bytes - min(part.size(), source.bytes),
                f"for the archive of {source.dataset} and what is in it",
            )
            _download(source, part, tries, wait)
            _check_sum(source, part)
            try:
                unpack(source, part.archive, partial)
                _publish(source, partial, root)
            except BadArchiveError:
                part.remove()
                raise
            finally:
                shutil.rmtree(partial, ignore_errors=True)
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
        """Write into the record which archive is downloaded."""
        self.record.write_text(
            json.dumps(_identity(source) | {"etag": etag}) + "\n", encoding="utf-8"
        )

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
        lock = try_lock(self.lock)
        if lock is None:
            raise CardiouqError(
                f"{self.lock}: another process is fetching to the same folder; wait for it to "
                "end, then run this again if need be"
            )
        with lock:
            try:
                yield
            finally:
                self.lock.unlink(missing_ok=True)


def _identity(source: Source) -> dict[str, str]:
    return {"dataset": source.dataset, "url": source.url, "sha256": source.sha256}


def _read_json(path: Path) -> dict[str, Any]:
    """An object of a JSON file; {} if there is none, as when its writer was killed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
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
            raise CardiouqError(f"{source.url}: {error}; {source.by_hand}") from error
        size = part.size()
        if size == source.bytes:
            break
        if size >= furthest + source.bytes / 100:
            failures, furthest = 0, size
        failures += 1
        if failures >= tries:
            raise CardiouqError(
                f"{source.url}: {size:,} of {source.bytes:,} bytes after {tries} failures in a "
                f"row, the last: {reason}; run it again to go on from there, or {source.by_hand}"
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
            f"{source.by_hand}"
        )
    told = answer.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", told)
    total = match[2] if match else "*"
    if code == 200 and "Content-Encoding" not in answer.headers:
        total = answer.headers.get("Content-Length", "*")
    if total.isdigit() and int(total) != source.bytes:
        raise _another_size(source, part, f"{int(total):,}")
    etag = answer.headers.get("ETag", "")
    starts_elsewhere = not match or match[1] != str(part.size())
    is_another = bool(part.etag() and etag and etag != part.etag())
    if code == 416 or (code == 206 and (starts_elsewhere or is_another)):
        part.remove()
        raise _TryAgainError(f"HTTP {code} that is not the rest of the file ({told or 'no range'})")


def _another_size(source: Source, part: _Part, found: str) -> CardiouqError:
    """The error on a file of another size than the table's; what there is of it is removed."""
    part.remove()
    return CardiouqError(
        f"{source.url}: the file has {found} bytes, expected {source.bytes:,}: it has changed, or "
        f"the table of sources is wrong; {source.by_hand}"
    )


def _check_sum(source: Source, part: _Part) -> None:
    log.info("%s: checking", part.archive)
    with part.archive.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != source.sha256:
        part.remove()
        raise CardiouqError(
            f"{source.url}: sha256 of the download is {found}, expected {source.sha256}; it was "
            "removed: run it again, and if the same is found the archive has changed: "
            f"{source.by_hand}"
        )


def _publish(source: Source, partial: Path, root: Path) -> None:
    """Make an unpacked folder, marked and on the disk, the root."""
    (partial / MARKER).write_text(json.dumps(_identity(source), indent=1) + "\n", encoding="utf-8")
    for synced in (partial / MARKER, *(Path(folder) for folder, _, _ in os.walk(partial))):
        _sync(synced)
    partial.replace(root)
    _sync(root.parent)


def _sync(path: Path) -> None:
    """Have a file or folder on disk before the rename is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
