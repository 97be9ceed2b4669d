"""A data set is fetched whole from a server that misbehaves, or one error says why not."""

import fcntl
import hashlib
import json
import logging
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cardiouq.data.fetch import download
from cardiouq.errors import CardiouqError
from tests.data.fetch.server import (
    SIZE,
    Site,
    acdc,
    assert_whole,
    fails,
    fetch,
    files_in,
    left_beside,
    scans,
    source_of,
    write_sources,
    zipped,
)


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


def test_mount_point_is_an_error_before_the_download(
    site: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.mkdir(parents=True)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == root)
    with pytest.raises(CardiouqError, match=f"{root}: is where a disk is mounted"):
        fetch(source_of(site), root)
    assert site.requests == []
    fetch(source_of(site), root / "acdc")
    assert_whole(root / "acdc")


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
