"""An archive is unpacked whole and into its folder alone, or one error says why not."""

import io
import os
import random
import shutil
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cardiouq.data.fetch import archive
from cardiouq.errors import CardiouqError
from tests.data.fetch.server import (
    Site,
    acdc,
    assert_whole,
    fails,
    fetch,
    files_in,
    left_beside,
    source_of,
    zipped,
)


def test_archive_that_was_streamed_is_unpacked(site: Site, root: Path) -> None:
    class Stream(io.BytesIO):
        """In which sizes come after the members, as with a server that packs at request."""

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
