"""A small ACDC on a local server that may misbehave, and what a fetch from it must leave."""

import hashlib
import io
import json
import random
import re
import socket
import struct
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from cardiouq.data.fetch import download
from cardiouq.data.fetch.sources import Source
from cardiouq.errors import CardiouqError

SIZE = 400_000
"""Bytes of scans in the archive, of which 64 KiB are read at a time."""


@dataclass
class Site:
    """One file on a local server, and how each request for it is answered."""

    content: bytes
    etag: str = '"v1"'
    ranges: bool = True
    heeds_if_range: bool = True
    with_length: bool = True
    resets: bool = False
    """Whether a connection that drops is reset, rather than closed."""
    answers: list[int | Callable[["Site"], int]] = field(default_factory=list)
    """For each request in turn an HTTP status, or (negative) after how many bytes the connection
    drops; a function may change the site first. Then all requests are answered in full."""
    requests: list[dict[str, str]] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    stall_after: int | None = None
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.requests.append(dict(self.headers))
        answer = site.answers.pop(0) if site.answers else -len(site.content)
        if callable(answer):
            answer = answer(site)
        if answer > 0:
            self.send_error(answer)
            return
        start = self.first_byte()
        if start is None:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(site.content)}")
            self.end_headers()
            return
        rest = site.content[start:]
        self.send_response(206 if start else 200)
        if start:
            last = len(site.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(site.content)}")
        if site.with_length:
            self.send_header("Content-Length", str(len(rest)))
        if site.etag:
            self.send_header("ETag", site.etag)
        self.end_headers()
        if site.stall_after is not None:
            self.wfile.write(rest[: site.stall_after])
            self.wfile.flush()
            site.stalled.set()
            site.released.wait(30)
            return
        self.wfile.write(rest[:-answer])
        if site.resets and -answer < len(rest):
            at_once = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            self.connection.close()

    def first_byte(self) -> int | None:
        """What the request's range starts at, None if that is beyond the file."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not self.site.ranges or not asked:
            return 0
        is_new = self.headers.get("If-Range", self.site.etag) != self.site.etag
        if is_new and self.site.heeds_if_range:
            return 0
        return int(asked[1]) if int(asked[1]) < len(self.site.content) else None

    def log_message(self, *_: object) -> None:
        pass


def scans(seed: int = 0) -> dict[str, bytes]:
    """Files of a small ACDC, incompressible as scans are."""
    rng = random.Random(seed)
    names = [
        f"{part}/patient{number:03d}/{file}"
        for part, number in (("training", 1), ("training", 2), ("testing", 101))
        for file in ("Info.cfg", "scan.nii.gz")
    ]
    return {name: rng.randbytes(SIZE // 3 if name.endswith("gz") else 60) for name in names}


Members = list[tuple[str | zipfile.ZipInfo, bytes]]


def zipped(members: Members, to: Any = None) -> bytes:
    buffer = to or io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    value: bytes = buffer.getvalue()
    return value


def acdc(files: dict[str, bytes] | None = None) -> Members:
    """Members as ACDC's archive has them, with a file outside the folder that is wanted."""
    files = scans() if files is None else files
    return [("ACDC/readme.txt", b"outside"), ("ACDC/database/", b"")] + [
        (f"ACDC/database/{name}", content) for name, content in files.items()
    ]


def source_of(site: Site, **changes: Any) -> Source:
    return replace(
        Source(
            dataset="acdc",
            access="open",
            url=site.url,
            bytes=len(site.content),
            sha256=hashlib.sha256(site.content).hexdigest(),
            archive_folder="ACDC/database",
            apply_at="https://example.org/apply",
            licence="",
            citation="",
            checked="",
            note="",
        ),
        **changes,
    )


def fetch(source: Source, root: Path, tries: int = 4) -> None:
    download.fetch(source, root, tries=tries, wait=0.001)


def fails(source: Source, root: Path, *words: str, tries: int = 4) -> None:
    """The fetch ends with one error that says all the words, and how to go on."""
    with pytest.raises(CardiouqError) as caught:
        fetch(source, root, tries)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert message.count("\n") == 0
    assert not root.exists()


def assert_whole(root: Path, files: dict[str, bytes] | None = None) -> None:
    """`root` is all there and stands alone."""
    found = {str(path.relative_to(root)): path.read_bytes() for path in files_in(root)}
    assert json.loads(found.pop("source.json"))["dataset"] == "acdc"
    assert found == (scans() if files is None else files)
    assert left_beside(root) == []


def files_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def left_beside(root: Path) -> list[str]:
    """Names of what stands beside the root."""
    return sorted(path.name for path in root.parent.glob("*") if path != root)


def write_sources(path: Path, *sources: Source) -> Path:
    names = list(vars(sources[0]))
    rows = [",".join(str(value) for value in vars(source).values()) for source in sources]
    path.write_text("\n".join([",".join(names), *rows]) + "\n", encoding="utf-8")
    return path
