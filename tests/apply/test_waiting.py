"""Whoever applies a model reads why nothing happens while all GPUs are taken."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cardiouq.cli import STOPPED, main
from cardiouq.device import choose, gpus
from tests.device import own_locks


@pytest.fixture
def one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that has GPU 0, by locks of the test's own; to wait for it ends the command."""
    own_locks.pretend(tmp_path / "locks", monkeypatch, KeyboardInterrupt)
    monkeypatch.setattr(choose, "check_device", lambda device: None)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setenv("CARDIOUQ_DEVICE", "to be put back")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    gpus.acquire_gpu.cache_clear()
    yield
    gpus.acquire_gpu.cache_clear()


@pytest.mark.usefixtures("one_gpu")
def test_command_that_waits_for_a_gpu_says_so(
    make_model: Callable[..., Path],
    save: Callable[..., Path],
    volume: NDArray[np.int16],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save("a.nii.gz", volume)
    model = str(make_model())
    holder = gpus.lock_gpu(["0"])
    assert main(["apply", model, str(tmp_path / "scans"), str(tmp_path / "out")]) == STOPPED
    holder.release()
    said = capsys.readouterr().err.splitlines()
    assert f"waiting for a GPU, 0 min so far; taken: 0; locks: {tmp_path / 'locks'}" in said
