"""A data set is fetched whole from a server that misbehaves, or one error says why not."""

import fcntl
import hashlib
import io
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cardiouq.data.fetch import archive, download
from cardiouq.data.fetch.sources import Source, read_sources
from cardiouq.errors import CardiouqError, ProblemsError

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


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The archive of `scans` on a local server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = Site(zipped(acdc()))
    handler = type("SiteHandler", (Handler,), {"site": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    served.url = f"http://127.0.0.1:{server.server_port}/acdc/download"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    served.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "acdc"


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


def test_archive_becomes_the_root_and_a_second_call_returns(site: Site, root: Path) -> None:
    fetch(source_of(site), root)
    assert_whole(root)
    assert "Range" not in site.requests[0]
    part = root.with_name("acdc.part.zip")
    part.write_bytes(b"of a call that was killed after the rename")
    before = {path: path.stat().st_mtime_ns for path in files_in(root)}
    fetch(source_of(site), root)
    assert len(site.requests) == 1
    assert {path: path.stat().st_mtime_ns for path in files_in(root)} == before
    assert_whole(root)


def test_empty_root_is_filled_and_a_link_is_followed(site: Site, tmp_path: Path) -> None:
    disk = tmp_path / "disk" / "acdc"
    disk.mkdir(parents=True)
    (tmp_path / "link").symlink_to(disk)
    fetch(source_of(site), tmp_path / "link")
    assert_whole(disk)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]


def test_archive_that_was_streamed_is_unpacked(site: Site, root: Path) -> None:
    class Stream(
        io.BytesIO
    ):  # sizes come after the members, as with a server that packs at request
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    site.content = zipped(acdc(), Stream())
    assert site.content[6] & 8  # bit 3 of the first header's flags
    site.with_length = site.ranges = False
    site.etag = ""
    fetch(source_of(site), root)
    assert_whole(root)


@pytest.mark.parametrize("seed", range(5))
def test_download_cut_at_random_points_goes_on(site: Site, root: Path, seed: int) -> None:
    """In one call and, as failures in a row run out, over several."""
    rng = random.Random(seed)
    site.with_length = seed != 4  # then nothing but the size tells that the answer was cut
    for _ in range(12):
        site.answers += [rng.choice([500, 503]) for _ in range(rng.randrange(5))]
        site.answers.append(-rng.randrange(1, SIZE // 3))
    calls = 1
    while calls < 40:
        try:
            fetch(source_of(site), root, tries=3)
            break
        except CardiouqError as error:
            assert re.search(r"of [\d,]+ bytes after 3 failures in a row", str(error))
            assert not root.exists()
            assert set(left_beside(root)) <= {"acdc.part.zip", "acdc.part.json"}
            calls += 1
    assert_whole(root)
    starts = [int(r["Range"][6:-1]) for r in site.requests if "Range" in r]
    assert starts == sorted(starts)  # never from an earlier byte
    assert len(set(starts)) > 1
    assert all(r["If-Range"] == '"v1"' for r in site.requests if "Range" in r)


def test_server_that_ignores_ranges_sends_all_again(site: Site, root: Path) -> None:
    site.ranges = False
    site.answers = [-200_000, -300_000]
    fetch(source_of(site), root)
    assert_whole(root)
    assert [int(r.get("Range", "bytes=0-")[6:-1]) > 0 for r in site.requests] == [0, 1, 1]


def test_server_that_always_stops_at_one_point_is_given_up(site: Site, root: Path) -> None:
    site.ranges = False
    site.answers = [-200_000] * 50
    fails(source_of(site), root, site.url, f"of {len(site.content):,} bytes after 4 failures")
    assert len(site.requests) == 4


def test_file_that_changes_between_two_tries_is_had_anew(site: Site, root: Path) -> None:
    def change(site: Site) -> int:
        site.content, site.etag = new, '"v2"'
        return -len(new)

    new = site.content
    site.content = bytes(len(new))
    site.answers = [-200_000, change]
    fetch(source_of(site, sha256=hashlib.sha256(new).hexdigest()), root)
    assert_whole(root)
    assert len(site.requests) == 2


def test_rest_of_another_version_is_not_joined(site: Site, root: Path) -> None:
    """A server that disregards If-Range gives away by its etag that the file has changed."""

    def change(site: Site) -> int:
        site.content, site.etag = new, '"v2"'
        return -len(new)

    new = site.content
    site.content, site.heeds_if_range = bytes(len(new)), False
    site.answers = [-200_000, change]
    fetch(source_of(site, sha256=hashlib.sha256(new).hexdigest()), root)
    assert_whole(root)
    assert ["Range" in r for r in site.requests] == [False, True, False]


def test_weak_etag_is_not_relied_on(site: Site, root: Path) -> None:
    site.etag = 'W/"v1"'
    site.answers = [-200_000]
    fetch(source_of(site), root)
    assert_whole(root)
    assert "Range" in site.requests[1]
    assert "If-Range" not in site.requests[1]


def test_part_of_another_archive_is_not_gone_on_from(site: Site, root: Path) -> None:
    site.answers = [-200_000, 500]
    fails(source_of(site), root, "after 1 failures", tries=1)
    assert left_beside(root) == ["acdc.part.json", "acdc.part.zip"]
    site.answers = []
    site.content = zipped(acdc(scans(seed=1)))
    fetch(source_of(site), root)
    assert_whole(root, scans(seed=1))
    assert all("Range" not in r for r in site.requests)


@pytest.mark.parametrize("torn", ["", '{"dataset": "ac', "[]"])
def test_part_with_a_torn_record_is_checked_by_its_sum(site: Site, root: Path, torn: str) -> None:
    root.parent.mkdir()
    root.with_name("acdc.part.zip").write_bytes(site.content[:1000])
    root.with_name("acdc.part.json").write_text(torn, encoding="utf-8")
    fetch(source_of(site), root)
    assert_whole(root)
    assert site.requests[0]["Range"] == "bytes=1000-"


def test_archive_that_was_got_by_hand_is_not_downloaded(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.parent.mkdir()
    root.with_name("acdc.part.zip").write_bytes(site.content)
    free_space(monkeypatch, 2 * len(site.content))  # it needs no room again
    fetch(source_of(site), root)
    assert_whole(root)
    assert site.requests == []


def test_part_longer_than_the_archive_is_had_anew(site: Site, root: Path) -> None:
    root.parent.mkdir()
    root.with_name("acdc.part.zip").write_bytes(site.content + b"more")
    fetch(source_of(site), root)
    assert_whole(root)
    assert "Range" not in site.requests[0]


def test_server_that_refuses_the_range_is_asked_for_all(site: Site, root: Path) -> None:
    site.answers = [-200_000, 416]
    fetch(source_of(site), root)
    assert_whole(root)
    assert ["Range" in r for r in site.requests] == [False, True, False]


def test_range_beyond_a_file_that_became_shorter_is_an_error(site: Site, root: Path) -> None:
    source = source_of(site)
    root.parent.mkdir()
    root.with_name("acdc.part.zip").write_bytes(site.content[:200_000])
    site.content = site.content[:100_000]
    fails(source, root, site.url, "100,000 bytes", f"{source.bytes:,}", source.apply_at)
    assert left_beside(root) == []


@pytest.mark.parametrize("with_length", [True, False])
def test_file_of_another_size_is_an_error_at_once(
    site: Site, root: Path, with_length: bool
) -> None:
    site.with_length = with_length
    source = source_of(site)
    site.content += b"more"
    found = f"{len(site.content):,}" if with_length else f"more than {source.bytes:,}"
    fails(source, root, site.url, f"has {found} bytes", f"expected {source.bytes:,}")
    assert len(site.requests) == 1
    assert left_beside(root) == []


def test_wrong_checksum_is_an_error_and_the_download_is_removed(site: Site, root: Path) -> None:
    source = source_of(site)
    good = site.content
    site.content = good[:1000] + bytes([good[1000] ^ 1]) + good[1001:]
    found = hashlib.sha256(site.content).hexdigest()
    fails(source, root, site.url, f"is {found}", f"expected {source.sha256}", "run it again")
    assert left_beside(root) == []
    site.content = good
    fetch(source, root)
    assert_whole(root)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_refusal_is_an_error_at_once(site: Site, root: Path, status: int) -> None:
    site.answers = [status] * 9
    fails(source_of(site), root, site.url, f"HTTP {status}", "https://example.org/apply")
    assert len(site.requests) == 1
    assert left_beside(root) == []


def test_two_failures_of_the_server_are_tried_again(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    site.answers = [500, 500]
    download.fetch(source_of(site), root, wait=1.5)
    assert_whole(root)
    assert waits == [1.5, 3.0]


def test_server_that_keeps_failing_is_given_up(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    site.answers = [503] * 20
    with pytest.raises(CardiouqError, match=r"0 of .* after 9 failures .* HTTP 503") as caught:
        download.fetch(source_of(site), root, tries=9, wait=1)
    assert site.url in str(caught.value)
    assert len(site.requests) == 9
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert left_beside(root) == []


@pytest.mark.parametrize("resets", [True, False])
def test_connection_dropped_in_the_body_is_gone_on_from(
    site: Site, root: Path, resets: bool
) -> None:
    site.resets = resets
    site.answers = [-150_000, -150_000]
    fetch(source_of(site), root)
    assert_whole(root)
    assert len(site.requests) == 3


def test_trickle_is_given_up(site: Site, root: Path) -> None:
    """Less than 1 % of the archive between two failures does not count as going on."""
    site.answers = [-10] * 50
    fails(source_of(site), root, "after 4 failures in a row", "run it again")
    assert len(site.requests) == 4
    site.answers = []
    fetch(source_of(site), root)
    assert_whole(root)


def test_no_server_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    source = source_of(Site(b"some", url=url))
    fails(source, root, url, "0 of 4 bytes after 4 failures", "refused", source.apply_at)
    assert left_beside(root) == []
    fails(replace(source, url="htp:/nowhere"), root, "htp:/nowhere", source.apply_at)


def test_progress_is_logged_every_twentieth(
    site: Site, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.answers = [-150_000]
    with caplog.at_level(logging.INFO):
        fetch(source_of(site), root)
    percents = [int(n) for n in re.findall(r"(\d+) % of", caplog.text)]
    assert percents == sorted(set(percents))
    assert percents[-1] == 100
    assert all(percent % 5 == 0 for percent in percents)


def free_space(monkeypatch: pytest.MonkeyPatch, *free: int) -> None:
    """What the disk has free at each look, the last for ever."""
    left = list(free)

    def usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=left.pop(0) if len(left) > 1 else left[0])

    monkeypatch.setattr(shutil, "disk_usage", usage)


def test_no_space_is_found_before_the_download(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(site)
    free_space(monkeypatch, 3 * source.bytes - 1)
    needed = f"{3 * source.bytes:,} needed"
    fails(source, root, str(root.parent), f"{3 * source.bytes - 1:,} bytes free", needed, "room")
    assert site.requests == []
    assert left_beside(root) == []
    free_space(monkeypatch, 3 * source.bytes)
    fetch(source, root)
    assert_whole(root)


def test_no_space_to_unpack_is_found_after_the_download(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.content = zipped([*acdc({"training/zeros": bytes(4 * SIZE)}), ("fill", scans_bytes())])
    source = source_of(site)
    free_space(monkeypatch, 3 * source.bytes, 4 * SIZE - 1)
    fails(source, root, str(root.parent), f"{4 * SIZE - 1:,} bytes free", f"{4 * SIZE:,} needed")
    assert left_beside(root) == ["acdc.part.json", "acdc.part.zip"]
    free_space(monkeypatch, 4 * SIZE)
    fetch(source, root)
    assert len(site.requests) == 1
    assert_whole(root, {"training/zeros": bytes(4 * SIZE)})


def scans_bytes() -> bytes:
    return b"".join(scans().values())


def test_root_that_is_taken_is_left_as_it_is(site: Site, root: Path) -> None:
    (root / "training").mkdir(parents=True)
    (root / "notes.txt").write_text("mine", encoding="utf-8")
    before = sorted(root.parent.rglob("*"))
    for marker in (None, "{", json.dumps({"sha256": "of another version"})):
        if marker:
            (root / "source.json").write_text(marker, encoding="utf-8")
            before = sorted(root.parent.rglob("*"))
        with pytest.raises(CardiouqError, match=r"notes\.txt, ") as caught:
            fetch(source_of(site), root)
        for word in (str(root), "training", source_of(site).sha256, "choose another", "acdc_root"):
            assert word in str(caught.value)
        assert sorted(root.parent.rglob("*")) == before
    assert site.requests == []


def test_root_that_is_a_file_is_left_as_it_is(site: Site, tmp_path: Path) -> None:
    (tmp_path / "acdc").write_text("mine", encoding="utf-8")
    with pytest.raises(CardiouqError, match="expected no folder or an empty one"):
        fetch(source_of(site), tmp_path / "acdc")
    assert (tmp_path / "acdc").read_text(encoding="utf-8") == "mine"
    with pytest.raises(CardiouqError, match=r"acdc.*mend that"):
        fetch(source_of(site), tmp_path / "acdc" / "below")
    assert site.requests == []


def test_second_process_is_turned_away(site: Site, root: Path) -> None:
    root.parent.mkdir()
    lock = root.with_name("acdc.part.lock")
    with lock.open("w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        fails(source_of(site), root, str(lock), "another process", "wait")
    assert site.requests == []
    assert lock.exists()
    fetch(source_of(site), root)
    assert_whole(root)


def test_lock_that_its_last_owner_removed_is_not_taken(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process ends, and a third begins, between this one's opening and locking the file."""
    lock = root.with_name("acdc.part.lock")

    def replaced(*_: object) -> None:
        lock.rename(lock.with_name("old"))
        lock.touch()

    monkeypatch.setattr(fcntl, "flock", replaced)
    fails(source_of(site), root, str(lock), "another process")
    assert site.requests == []
    assert lock.exists()


def test_disk_without_locks_is_warned_of(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    fetch(source_of(site), root)
    assert "let no other process work" in caplog.text
    assert_whole(root)


def member(name: str, mode: int = 0, flags: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name  # past the constructor, which would mend it
    info.external_attr = mode << 16
    info.flag_bits = flags
    return info


UNSAFE = {
    "dots": ("../x", 0, "`..`"),
    "dots inside": ("ACDC/database/../../../x", 0, "`..`"),
    "dot": ("ACDC/./database/x", 0, "`.`"),
    "absolute": ("/tmp/cardiouq-x", 0, "absolute"),
    "two slashes": ("ACDC/database//x", 0, "empty step"),
    "drive": ("C:/x", 0, "drive"),
    "drive inside": ("ACDC/database/C:x", 0, "drive"),
    "backslash": ("ACDC/database/..\\x", 0, "character"),
    "link": ("ACDC/database/link", stat.S_IFLNK | 0o777, "link or special"),
    "link to a folder": ("ACDC/database/link/", stat.S_IFLNK | 0o777, "link or special"),
    "pipe": ("ACDC/database/pipe", stat.S_IFIFO | 0o666, "link or special"),
    "device": ("ACDC/database/null", stat.S_IFCHR | 0o666, "link or special"),
    "folder as a file": ("ACDC/database/folder", stat.S_IFDIR | 0o777, "link or special"),
    "below a file": ("ACDC/database/training/patient001/Info.cfg/x", 0, "below a file"),
    "twice": ("ACDC/database/training/patient001/Info.cfg", 0, "more than once"),
    "twice, as a folder": ("ACDC/database/training/patient001/Info.cfg/", 0, "more than once"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", UNSAFE)
def test_unsafe_member_keeps_all_from_being_unpacked(site: Site, root: Path, case: str) -> None:
    name, mode, words = UNSAFE[case]
    site.content = zipped([*acdc(), (member(name, mode), b"/etc/passwd")])
    fails(
        source_of(site), root, site.url, name.rstrip("/").encode("unicode_escape").decode(), words
    )
    assert left_beside(root) == []
    assert [path.name for path in root.parent.parent.iterdir()] == ["data"]
    assert not Path("/tmp/cardiouq-x").exists()


def test_nul_in_a_name_is_unsafe(site: Site, root: Path) -> None:
    site.content = zipped([*acdc(), ("ACDC/database/seen!hidden", b"")])
    site.content = site.content.replace(b"seen!hidden", b"seen\0hidden")
    fails(source_of(site), root, "seen\\x00hidden", "character")
    assert left_beside(root) == []


def headers_of(content: bytes, name: str) -> tuple[int, int]:
    """Where the local and the central header of a member start."""
    encoded = name.encode()
    return content.index(encoded) - 30, content.rindex(encoded) - 46


def patched(content: bytes, at: int, form: str, value: int) -> bytes:
    size = struct.calcsize(form)
    return content[:at] + struct.pack(form, value) + content[at + size :]


def test_encrypted_member_is_refused(site: Site, root: Path) -> None:
    name = "ACDC/database/testing/patient101/Info.cfg"
    local, central = headers_of(site.content, name)
    site.content = patched(patched(site.content, local + 6, "<H", 1), central + 8, "<H", 1)
    fails(source_of(site), root, name, "encrypted")
    assert left_beside(root) == []


def test_bomb_that_says_so_is_not_unpacked(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.content = zipped(acdc({"zeros": bytes(2**24)}))
    monkeypatch.setattr(archive, "_unpack_member", lambda *_: pytest.fail("unpacked"))
    assert 100 * len(site.content) < 2**24
    fails(source_of(site), root, site.url, f"{2**24 + 7:,}", "10 times its size")
    assert left_beside(root) == []


def test_bomb_of_shared_content_is_not_unpacked(site: Site, root: Path) -> None:
    """Two hundred members, each of which is the same deflated scan."""
    name = "ACDC/database/zeros000"
    content = zipped([(name, bytes(10**6))])
    start = content.index(b"PK\1\2")
    end = content.index(b"PK\5\6")
    entry = content[start:end]
    entries = [entry.replace(b"zeros000", b"zeros%03d" % number) for number in range(200)]
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 200, 200, 200 * len(entry), start, 0)
    site.content = content[:start] + b"".join(entries) + tail
    fails(source_of(site), root, "200 members of 200,000,000 bytes")
    assert left_beside(root) == []


def test_bomb_with_a_lying_header_is_stopped(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 MiB that are said to be 100,000 bytes: no more than that is written."""
    name, size = "ACDC/database/zeros", 100_000
    site.content = zipped(acdc({"zeros": bytes(2**24)}))
    local, central = headers_of(site.content, name)
    site.content = patched(patched(site.content, local + 22, "<L", size), central + 24, "<L", size)
    written: list[int] = []
    remove = shutil.rmtree

    def weigh(path: Path, **options: Any) -> None:
        written.extend(file.stat().st_size for file in files_in(path))
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", weigh)
    fails(source_of(site), root, site.url, "damaged", "zeros")
    assert 0 < max(written) <= size
    assert left_beside(root) == []


def test_member_shorter_than_its_header_says_is_an_error(site: Site, root: Path) -> None:
    name = "ACDC/database/testing/patient101/Info.cfg"
    local, central = headers_of(site.content, name)
    site.content = patched(patched(site.content, local + 22, "<L", 99), central + 24, "<L", 99)
    fails(source_of(site), root, site.url, "Info.cfg", "60 bytes, its header says 99")
    assert left_beside(root) == []


def test_too_many_members_are_refused(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 7)
    fails(source_of(site), root, "8 members", "expected 7 members")
    assert left_beside(root) == []


@pytest.mark.parametrize("content", [b"<html>log in</html>", b"", zipped([])])
def test_file_that_is_no_archive_of_the_data_set_is_an_error(
    site: Site, root: Path, content: bytes
) -> None:
    site.content = content or b"PK\3\4"
    words = "no files in ACDC/database" if content.startswith(b"PK") else "damaged"
    fails(source_of(site), root, site.url, words, "https://example.org/apply")
    assert left_beside(root) == []


def test_archive_without_the_folder_says_what_it_has(site: Site, root: Path) -> None:
    site.content = zipped([("ACDC2/database/x", b"1"), ("ACDC/database/", b"")])
    fails(source_of(site), root, "no files in ACDC/database", "['ACDC', 'ACDC2']")
    assert left_beside(root) == []


def test_unknown_compression_is_an_error(site: Site, root: Path) -> None:
    local, central = headers_of(site.content, "ACDC/database/testing/patient101/Info.cfg")
    site.content = patched(patched(site.content, local + 8, "<H", 97), central + 10, "<H", 97)
    fails(source_of(site), root, site.url, "damaged")
    assert left_beside(root) == []


def test_damage_anywhere_in_an_archive_is_one_error_or_does_no_harm(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of an archive changed at random, with the checksum to match."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # 120 times are slow on a busy disk
    files = {"training/patient001/Info.cfg": b"Group: NOR\n" * 9, "testing/x.nii.gz": bytes(300)}
    good = zipped(acdc(files))
    outcomes = set()
    for seed in range(120):
        rng = random.Random(seed)
        damaged = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(good))] = rng.randrange(256)
        site.content = bytes(damaged)
        root.parent.mkdir(exist_ok=True)
        root.with_name("acdc.part.zip").write_bytes(site.content)
        try:
            fetch(source_of(site), root)
        except CardiouqError as error:
            outcomes.add("error")
            assert site.url in str(error)
            assert not root.exists()
        else:
            outcomes.add("whole")
            found = {str(p.relative_to(root)): p.read_bytes() for p in files_in(root)}
            del found["source.json"]
            assert found.items() <= files.items()  # a name can be moved out of the folder
            shutil.rmtree(root)
        assert left_beside(root) == []
    assert outcomes == {"error", "whole"}


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_while_unpacking_leaves_nothing_but_the_archive(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    synced = os.fsync

    def fail_at_the_third(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise failure
        synced(descriptor)

    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", fail_at_the_third)
    with pytest.raises((CardiouqError, KeyboardInterrupt)) as caught:
        fetch(source_of(site), root)
    if isinstance(failure, OSError):
        assert "No space left on device" in str(caught.value)
        assert "run it again" in str(caught.value)
    assert not root.exists()
    assert left_beside(root) == ["acdc.part.json", "acdc.part.zip"]
    fetch(source_of(site), root)
    assert len(site.requests) == 1
    assert_whole(root)


KILLED = """
import os, sys, time
from pathlib import Path
from cardiouq.data.fetch import download
from cardiouq.data.fetch.sources import read_sources
synced, calls = os.fsync, []
def stop(descriptor):
    calls.append(descriptor)
    if len(calls) == 3:
        print("unpacking", flush=True)
        time.sleep(60)
    synced(descriptor)
os.fsync = stop
download.fetch(read_sources(sys.argv[1])["acdc"], Path(sys.argv[2]))
"""


def write_sources(path: Path, *sources: Source) -> Path:
    names = list(vars(sources[0]))
    rows = [",".join(str(value) for value in vars(source).values()) for source in sources]
    path.write_text("\n".join([",".join(names), *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("stage", ["unpacking", "downloading"])
def test_killed_process_leaves_nothing_taken_for_whole(
    site: Site, root: Path, tmp_path: Path, stage: str
) -> None:
    table = write_sources(tmp_path / "sources.csv", source_of(site))
    if stage == "downloading":
        site.stall_after = 300_000
    command = [sys.executable, "-c", KILLED, str(table), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout
        try:
            if stage == "unpacking":
                assert process.stdout.readline() == "unpacking\n"
            else:
                assert site.stalled.wait(30)
                part = root.with_name("acdc.part.zip")
                while not part.exists() or part.stat().st_size < 200_000:
                    assert process.poll() is None
        finally:
            process.send_signal(signal.SIGKILL)
    assert not root.exists()
    assert (".partial-acdc" in left_beside(root)) == (stage == "unpacking")
    site.released.set()
    site.stall_after = None
    fetch(source_of(site), root)
    assert_whole(root)
    if stage == "unpacking":
        assert len(site.requests) == 1
    else:
        assert int(site.requests[1]["Range"][6:-1]) >= 200_000


@pytest.mark.parametrize("access", ["form", "application"])
def test_data_set_that_is_not_open_says_where_to_apply(site: Site, root: Path, access: str) -> None:
    source = replace(source_of(site, access=access), dataset="mnms", url="")
    fails(source, root, f"by {access} only", "https://example.org/apply", "`mnms_root`")
    assert not root.parent.exists()


def test_shipped_table_has_every_data_set(repository: Path) -> None:
    sources = read_sources(repository / "config" / "data_sources.csv")
    assert {name: source.access for name, source in sources.items()} == {
        "acdc": "open",
        "mnms": "form",
        "ukbb": "application",
        "t1t2maps": "private",
    }
    assert sources["acdc"].bytes == 2_452_590_457
    assert sources["acdc"].archive_folder == "ACDC/database"
    cited = [source.citation for source in sources.values()]
    assert all(re.fullmatch(r"10\.\d{4}/\S+|MELBA 2024:011", citation) for citation in cited)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": ""}, "line 2: dataset is empty"),
        ({"apply_at": ""}, "line 2: apply_at is empty"),
        ({"access": "free"}, "access is 'free'; expected one of"),
        ({"url": "ftp://x"}, "url is 'ftp://x'"),
        ({"bytes": 0}, "bytes is '0'"),
        ({"bytes": "1e9"}, "bytes is '1e9'"),
        ({"sha256": "ab"}, "sha256 is 'ab'; an open data set needs 64"),
        ({"archive_folder": "../x"}, "archive_folder is '../x'"),
        ({"archive_folder": "x/"}, "archive_folder is 'x/'"),
        ({"access": "form"}, "url is 'http"),
    ],
)
def test_row_that_cannot_be_used_is_named(
    site: Site, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    good = source_of(site)
    table = write_sources(tmp_path / "sources.csv", good)
    assert read_sources(table) == {"acdc": good}
    write_sources(table, replace(good, **changes))
    with pytest.raises(ProblemsError) as caught:
        read_sources(table)
    assert str(table) in str(caught.value)
    assert any(words in problem for problem in caught.value.problems)


def test_table_that_cannot_be_read_is_an_error(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CardiouqError, match="no such file"):
        read_sources(tmp_path / "none.csv")
    table = write_sources(tmp_path / "sources.csv", source_of(site), source_of(site))
    with pytest.raises(ProblemsError, match="line 3: acdc is given twice"):
        read_sources(table)
    table.write_text(
        table.read_text(encoding="utf-8").replace("licence", "license"), encoding="utf-8"
    )
    with pytest.raises(CardiouqError, match="'license'"):
        read_sources(table)


def test_script_fetches_or_says_why_not(
    site: Site, root: Path, tmp_path: Path, repository: Path
) -> None:
    table = write_sources(tmp_path / "sources.csv", source_of(site))

    def run(dataset: str, log: str) -> subprocess.CompletedProcess[str]:
        script = repository / "workflow" / "scripts" / "fetch.py"
        command = [sys.executable, script, "--dataset", dataset, "--root", root]
        command += ["--sources", table, "--log", tmp_path / log]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)

    wrong = run("kaggle", "wrong.log")
    assert wrong.returncode == 1
    assert "no data set 'kaggle'; expected one of ['acdc']" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert "'kaggle'" in (tmp_path / "wrong.log").read_text(encoding="utf-8")
    right = run("acdc", "right.log")
    assert right.returncode == 0, right.stderr
    assert_whole(root)
    assert "fetch acdc: acdc: 100 % of" in (tmp_path / "right.log").read_text(encoding="utf-8")
