"""Two processes at one file, folder or study: the second waits for the first one, or is refused."""

import fcntl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cardiouq.errors import CardiouqError
from cardiouq.files import locks
from cardiouq.files.locks import exclusive_lock, lock_results, shared_lock, try_lock

WRITER = """
import logging, sys
from pathlib import Path
from cardiouq.files import writing
from cardiouq.files import locks
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
locks.SECONDS_BETWEEN_TRIES = 0.02
way, target, text = sys.argv[1:]
with getattr(writing, way)(target) as temporary:
    file = temporary / "file" if way == "atomic_folder" else temporary
    file.write_text(text, encoding="utf-8")
    print("writing", flush=True)
    sys.stdin.readline()
"""


WAYS = [
    ("atomic_write", "table.csv"),
    ("atomic_write", "a_segmentation.nii.gz"),
    ("atomic_write", "name with 'quotes', [brackets] and ä.json"),
    ("atomic_folder", "preprocessed"),
]


as_ways = pytest.mark.parametrize(("way", "name"), WAYS)


class Writer:
    """A process that writes, and is amid it until it is told to go on."""

    def __init__(self, way: str, target: Path, text: str) -> None:
        command = [sys.executable, "-u", "-c", WRITER, way, str(target), text]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, encoding="utf-8")
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def says(self) -> str:
        return self.stdout.readline().strip()

    def ends(self) -> int:
        self.stdin.write("\n")
        self.stdin.flush()
        return self.process.wait(60)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_TRIES", 0.02)


def content(target: Path) -> str:
    return (target / "file" if target.is_dir() else target).read_text(encoding="utf-8")


def partial(folder: Path) -> list[Path]:
    return list(folder.glob(".partial-*"))


def left_in(folder: Path) -> set[str]:
    """Names of all but hashes."""
    return {path.name for path in folder.iterdir() if path.suffix != ".sha256"}


@as_ways
def test_what_a_living_process_writes_is_left_to_it(way: str, name: str, tmp_path: Path) -> None:
    target = tmp_path / name
    first = Writer(way, target, "first")
    assert first.says() == "writing"
    [half] = partial(tmp_path)
    second = Writer(way, target, "second")
    assert second.says() == f"another process works on {target}; waiting for its end"
    time.sleep(0.2)
    assert partial(tmp_path) == [half]
    assert first.ends() == 0
    assert second.says() == "writing"  # it has said once that it waits
    assert content(target) == "first"
    assert second.ends() == 0
    assert content(target) == "second"
    assert left_in(tmp_path) == {name}


@as_ways
def test_what_a_killed_process_wrote_is_removed(way: str, name: str, tmp_path: Path) -> None:
    target = tmp_path / name
    first = Writer(way, target, "first")
    assert first.says() == "writing"
    assert len(partial(tmp_path)) == 1
    first.process.kill()
    first.process.wait()
    second = Writer(way, target, "second")
    assert second.says() == "writing"
    assert second.ends() == 0
    assert content(target) == "second"
    assert left_in(tmp_path) == {name}


def test_process_that_was_killed_while_it_waited_disturbs_nobody(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    first = Writer("atomic_write", target, "first")
    assert first.says() == "writing"
    second = Writer("atomic_write", target, "second")
    assert second.says().startswith("another process")
    second.process.kill()
    second.process.wait()
    assert first.ends() == 0
    assert content(target) == "first"
    assert left_in(tmp_path) == {"table.csv"}


def test_several_may_read_and_none_writes_meanwhile(tmp_path: Path) -> None:
    lock = tmp_path / ".vanilla.lock"
    with shared_lock(tmp_path / "vanilla"):
        with shared_lock(tmp_path / "vanilla"):
            assert try_lock(lock) is None
        assert try_lock(lock) is None  # the one that has ended left it to the other
    assert list(tmp_path.iterdir()) == []
    with exclusive_lock(tmp_path / "vanilla"):
        assert try_lock(lock, fcntl.LOCK_SH) is None
    assert list(tmp_path.iterdir()) == []


def test_claim_lasts_as_long_as_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, cardiouq.files.locks as l; l.lock_results(pathlib.Path(sys.argv[1]));"
    )
    command = [sys.executable, "-c", code + "print(flush=True); input()", str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(CardiouqError, match="another Snakemake"):
            lock_results(tmp_path)
        process.kill()
    lock_results(tmp_path).close()
