"""A job's failure is one clear message, on the terminal and in its log."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import save

from cardiouq.errors import DISK_ERRORS, reported_to_user
from cardiouq.files.writing import HASHES_FILE, atomic_write, write_hashes


def fails_while_closing(path: Path) -> None:
    """Write as matplotlib does on a disk that becomes full amid a stream of a PDF."""
    try:
        path.write_text("a" * 10_000, encoding="utf-8")
    finally:
        raise AttributeError("'Stream' object has no attribute 'pos'")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    "write",
    [
        lambda path: np.save(path, np.zeros(10_000)),
        lambda path: path.write_bytes(save({"a": torch.zeros(10_000)})),
        lambda path: pd.DataFrame({"a": range(10_000)}).to_csv(path),
        lambda path: Figure().savefig(path, format="pdf"),
        lambda path: path.write_text("a" * 10_000, encoding="utf-8"),
        fails_while_closing,
    ],
    ids=["numpy", "safetensors", "pandas", "matplotlib", "text", "failure while closing"],
)
def test_whatever_library_finds_the_disk_full_the_file_is_named(
    write: Callable[[Path], Any], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with (
        pytest.raises(SystemExit) as raised,
        reported_to_user(log),
        atomic_write(tmp_path / "file.npy") as temporary,
    ):
        temporary.symlink_to("/dev/full")
        write(temporary)
    text = str(raised.value)
    assert text.startswith(f"\nERROR: {tmp_path / 'file.npy'}: the disk is full (")
    assert "Traceback" not in text
    assert log.read_text(encoding="utf-8") == text
    assert {path.name for path in tmp_path.iterdir()} == {"log"}


def test_the_list_of_hashes_is_named_when_the_disk_is_full(tmp_path: Path) -> None:
    sums = tmp_path / HASHES_FILE
    sums.symlink_to("/dev/full")
    told = pytest.raises(SystemExit, match=rf"\nERROR: {sums}: the disk is full \(")
    with told, reported_to_user(tmp_path / "log"):
        write_hashes(sums, {"run.json": "0" * 64})


@pytest.mark.parametrize("code", sorted(DISK_ERRORS))
def test_disk_that_takes_not_even_the_log_is_reported(code: int, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = pytest.raises(SystemExit, match=f"file: {DISK_ERRORS[code]}")
    with told, reported_to_user(tmp_path / "log"):
        (tmp_path / "log").unlink()
        (tmp_path / "log").mkdir()  # cannot be opened
        raise OSError(code, os.strerror(code), tmp_path / "file")


def test_other_failures_keep_their_traceback(tmp_path: Path) -> None:
    for error in (FileNotFoundError(2, "not there", "file"), OSError("no code"), KeyError("a")):
        with pytest.raises(SystemExit, match="Traceback"), reported_to_user(tmp_path / "log"):
            raise error


JOB = """
import sys, time
from pathlib import Path
from cardiouq.errors import reported_to_user
from cardiouq.files.writing import atomic_folder, atomic_write

with (
    reported_to_user("log"),
    atomic_write("table.csv") as table,
    atomic_folder("arrays") as folder,
):
    table.write_text("half")
    (folder / "a.npy").write_text("half")
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.mark.usefixtures("foreground")
@pytest.mark.parametrize(
    ("signals", "status"),
    [([signal.SIGINT], 130), ([signal.SIGTERM], 143), ([signal.SIGINT] * 3, 130)],
    ids=["Ctrl-C", "SIGTERM", "three times"],
)
def test_job_that_is_told_to_leave_says_so_and_leaves_nothing_half_written(
    repository: Path, tmp_path: Path, signals: list[int], status: int
) -> None:
    job = subprocess.Popen(
        [sys.executable, "-c", JOB],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert job.stdout
    assert job.stdout.readline() == "at work\n"
    for number in signals:
        job.send_signal(number)
    text, _ = job.communicate(timeout=60)
    assert job.returncode == status
    assert text == "stopped as told; the same command goes on from what is finished\n"
    assert (tmp_path / "log").read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
