"""Which GPUs there are, and that each is claimed by one job, until it ends in any way."""

import logging
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cardiouq.device import choose, gpus
from cardiouq.device.choose import choose_device
from cardiouq.device.gpus import (
    acquire_gpu,
    jobs_per_gpu,
    lock_gpu,
    locks_folder,
    parse_listing,
    visible_gpus,
)
from cardiouq.errors import CardiouqError
from tests.device import own_locks

TWO = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-48aeb943-9458-4282-da24-e5f1e6ff8d1a)
"""
DIVIDED = (
    TWO
    + """\
  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)
  MIG 3g.20gb     Device  1: (UUID: MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d)
GPU 2: NVIDIA T4 (UUID: GPU-b1a5e0c1-0b4e-8f7a-94a8-3b6f1c7ad5a0)
"""
)
GPU_0 = "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77"
GPU_1 = "GPU-48aeb943-9458-4282-da24-e5f1e6ff8d1a"
MIG_0 = "MIG-c7384736-a75d-5afc-978f-d2f1294409fd"
MIG_1 = "MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d"
GPU_2 = "GPU-b1a5e0c1-0b4e-8f7a-94a8-3b6f1c7ad5a0"


class WouldWait(Exception):
    """Every GPU is taken."""


@pytest.fixture(autouse=True)
def machine_without_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Locks of the test's own, whatever GPUs this machine has; waiting is an exception."""
    own_locks.pretend(tmp_path / "locks", monkeypatch, WouldWait)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "to be put back")
    for variable in ("CUDA_VISIBLE_DEVICES", "CARDIOUQ_GPU_SHARE", "CARDIOUQ_DEVICE"):
        monkeypatch.delenv(variable, raising=False)
    acquire_gpu.cache_clear()
    yield
    acquire_gpu.cache_clear()


def taken(*names: str, jobs: int = 1) -> bool:
    try:
        lock_gpu(names, jobs).release()
    except WouldWait:
        return True
    return False


def test_each_claim_is_of_another_gpu_until_one_is_released() -> None:
    first, second = lock_gpu(["0", "1"]), lock_gpu(["0", "1"])
    assert [first.gpu, second.gpu] == ["0", "1"]
    with pytest.raises(WouldWait):
        lock_gpu(["0", "1"])
    second.release()
    assert lock_gpu(["0", "1"]).gpu == "1"


def test_waiting_ends_when_a_gpu_is_free_and_is_told_each_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    holder = lock_gpu(["0"])
    clock = [0.0]

    def wait(seconds: float) -> None:
        clock[0] += seconds
        if clock[0] >= 150:
            holder.release()

    monkeypatch.setattr(gpus.time, "sleep", wait)
    monkeypatch.setattr(gpus.time, "monotonic", lambda: clock[0])
    caplog.set_level(logging.INFO)
    assert lock_gpu(["0"]).gpu == "0"
    assert [message.split(";")[0] for message in caplog.messages] == [
        f"waiting for a GPU, {minutes} min so far" for minutes in (0, 1, 2)
    ]


def test_shared_gpus_are_filled_evenly_and_not_beyond_what_was_said() -> None:
    claims = [lock_gpu(["0", "1"], jobs=2) for _ in range(4)]
    assert [claim.gpu for claim in claims] == ["0", "1", "0", "1"]
    assert taken("0", "1", jobs=2)
    claims[2].release()
    assert not taken("0", jobs=2)


def test_job_that_does_not_share_is_alone() -> None:
    sharing = lock_gpu(["0"], jobs=2)
    assert taken("0")
    sharing.release()
    alone = lock_gpu(["0"])
    assert taken("0", jobs=2)
    alone.release()
    assert not taken("0", jobs=2)


def test_killed_process_holds_nothing(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from cardiouq.device import gpus
gpus.LOCKS = Path({str(gpus.LOCKS)!r})
claim = gpus.lock_gpu(["0"])
print("claimed", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"claimed\n"
        assert taken("0")
        process.kill()
        process.wait()
    assert not taken("0")


@pytest.mark.parametrize("method", ["fork", "program"])
def test_children_do_not_keep_the_gpu(method: str) -> None:
    claim = lock_gpu(["0"])
    if method == "fork":
        event = multiprocessing.get_context("fork").Event()
        child = multiprocessing.get_context("fork").Process(target=event.wait, args=(60,))
        child.start()
    else:
        program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, close_fds=False)
    assert taken("0")
    claim.release()
    deadline = time.monotonic() + 30  # the child closes its copy once it runs
    while taken("0") and time.monotonic() < deadline:
        pass
    assert not taken("0")
    if method == "fork":
        assert child.is_alive()
        event.set()
        child.join()
    else:
        assert program.poll() is None
        program.communicate(b"\n")


def test_lock_on_a_file_that_was_cleaned_away_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = gpus.fcntl.flock

    def clean_then_lock(file: object, kind: int) -> None:
        (gpus.LOCKS / "0").unlink()
        monkeypatch.setattr(gpus.fcntl, "flock", real)
        real(file, kind)

    monkeypatch.setattr(gpus.fcntl, "flock", clean_then_lock)
    assert taken("0")
    assert not taken("0")


def test_folder_of_locks_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locks_folder().stat().st_mode & 0o777 == 0o700
    gpus.LOCKS.chmod(0o777)
    assert locks_folder().stat().st_mode & 0o777 == 0o700
    link = tmp_path / "link"
    link.symlink_to(gpus.LOCKS)
    monkeypatch.setattr(gpus, "LOCKS", link)
    with pytest.raises(CardiouqError, match="folder of your own"):
        locks_folder()


@pytest.mark.parametrize(
    "listing, named, expected",
    [
        (TWO, None, [GPU_0, GPU_1]),
        (TWO, "1,0", [GPU_1, GPU_0]),
        (TWO, "1", [GPU_1]),
        (TWO, GPU_1, [GPU_1]),
        (TWO, "GPU-48ae,GPU-5d5b", [GPU_1, GPU_0]),
        (TWO, "0,0", [GPU_0]),
        (TWO, "0,-1,1", [GPU_0]),
        (TWO, "", []),
        (TWO, "NoDevFiles", []),
        (DIVIDED, None, [GPU_0, MIG_0, MIG_1, GPU_2]),
        (DIVIDED, "1,2", [MIG_0, GPU_2]),
        (DIVIDED, MIG_1, [MIG_1]),
        ("", None, []),
        ("", "0,1", ["0", "1"]),
        ("", "MIG-GPU-48aeb943/1/0", ["MIG-GPU-48aeb943/1/0"]),
    ],
)
def test_visible_gpus(
    listing: str, named: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "_listing", lambda: listing)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == expected
    for _ in expected:  # any name can be that of a file
        lock_gpu(expected)
    assert not expected or taken(*expected)


def test_listing_of_a_divided_gpu() -> None:
    assert parse_listing(DIVIDED) == [[GPU_0], [MIG_0, MIG_1], [GPU_2]]


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_jobs_per_gpu_is_a_number(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert jobs_per_gpu() == 1
    monkeypatch.setenv("CARDIOUQ_GPU_SHARE", "3")
    assert jobs_per_gpu() == 3
    monkeypatch.setenv("CARDIOUQ_GPU_SHARE", text)
    with pytest.raises(CardiouqError, match="CARDIOUQ_GPU_SHARE"):
        jobs_per_gpu()


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """A torch with CUDA; returns what CUDA_VISIBLE_DEVICES was whenever CUDA was asked."""
    asked: list[str | None] = []

    def ask(answer: object) -> object:
        asked.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
        return answer

    monkeypatch.setattr(choose, "check_device", lambda device: None)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: ask(True))
    monkeypatch.setattr(choose, "_start_cuda", lambda: ask(None))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: ask(1))
    return asked


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_gpu_is_claimed_before_cuda_is_asked(
    device: str, fake_cuda: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARDIOUQ_DEVICE", device)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    other = lock_gpu(["0"])
    assert choose_device() == torch.device("cuda")
    assert choose_device() == torch.device("cuda")  # still the same
    assert set(fake_cuda) == {"1"}
    assert taken("1")
    other.release()
    assert not taken("0")


def test_cuda_that_was_started_before_is_an_error(
    fake_cuda: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(RuntimeError, match="before a GPU was claimed"):
        choose_device()


def test_gpu_that_cannot_be_named_is_not_used(fake_cuda: list[str | None]) -> None:
    with pytest.raises(CardiouqError, match="set CUDA_VISIBLE_DEVICES"):
        choose_device()


@pytest.mark.parametrize(
    "found",
    [
        "Found no NVIDIA driver on your system.",
        "The NVIDIA driver on your system is too old (found version 11040).",
        "No CUDA GPUs are available",
        "CUDA error: no kernel image is available for execution on the device",
    ],
)
def test_gpu_on_which_cuda_does_not_start_is_one_clear_error(
    found: str, fake_cuda: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError(found)

    monkeypatch.setattr(choose, "_start_cuda", fail)
    monkeypatch.setenv("CARDIOUQ_DEVICE", "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(CardiouqError) as caught:
        choose_device()
    assert f"device: cuda, but CUDA does not start on GPU 3: {found}" in str(caught.value)
    assert "--config device=cpu" in str(caught.value)


def test_without_a_working_gpu_auto_is_the_cpu_and_holds_nothing(
    fake_cuda: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert choose_device() == torch.device("cpu")
    assert not taken("0")


@pytest.mark.parametrize("device, built", [("cpu", True), ("auto", False)])
def test_cpu_claims_nothing(device: str, built: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    monkeypatch.setenv("CARDIOUQ_DEVICE", device)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert choose_device() == torch.device("cpu")
    assert not gpus.LOCKS.exists()
