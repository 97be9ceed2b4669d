"""SIGTERM, as batch systems send it before they kill, and Ctrl-C: no finished epoch is lost."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from cardiouq.training import train as loop
from cardiouq.training import trajectory
from cardiouq.training.patches import PatchSampler
from cardiouq.training.run import Run
from cardiouq.training.train import train

CPU = torch.device("cpu")
TERM, CTRL_C = signal.SIGTERM, signal.SIGINT
MakeRun = Callable[..., Run]
EPOCHS = 6
PRODUCTS = ("last_layer.npy", "checkpoints/epoch-0002.safetensors")


def told_to_leave(
    run: Run, output: Path, function: str, calls: int, signals: Sequence[signal.Signals]
) -> None:
    """Train, with signals before a function of the training is called once more than so often."""
    [module] = [m for m in (trajectory, PatchSampler, loop) if hasattr(m, function)][:1]
    original, count = getattr(module, function), 0

    def call(*arguments: Any, **keywords: Any) -> Any:
        nonlocal count
        if count == calls:
            for number in signals:
                os.kill(os.getpid(), number)
        count += 1
        return original(*arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as left:
        patch.setattr(module, function, call)
        train(run, output, CPU)
    assert left.value.code == 128 + signals[-1]


@pytest.mark.parametrize(
    ("signals", "seconds", "function", "calls", "kept"),
    [
        ([TERM], 60, "sample_batch", 0, 0),  # before anything is worth keeping: at once
        ([TERM], 60, "validate", 2, 3),  # the third epoch is finished, as none is kept yet
        ([TERM], -1, "sample_batch", 6, 3),  # all are kept: the fourth is given up
        ([TERM], 60, "validate", EPOCHS - 1, EPOCHS),  # in the last one
        ([TERM], 60, "save_state", 0, EPOCHS),  # when all is done but the output
        ([CTRL_C], 60, "PatchSampler", 0, 0),  # while scans are read
        ([CTRL_C], 60, "validate", 2, 3),
        ([CTRL_C] * 3, 60, "sample_batch", 5, 3),  # in a hurry
        ([TERM, CTRL_C], -1, "sample_batch", 6, 3),
    ],
)
def test_training_leaves_with_every_finished_epoch_and_ends_with_the_same_bits(
    make_run: MakeRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    signals: Sequence[signal.Signals],
    seconds: int,
    function: str,
    calls: int,
    kept: int,
) -> None:
    monkeypatch.setattr(trajectory, "SECONDS_BETWEEN_STATES", seconds)
    caplog.set_level("INFO")
    handlers = [signal.getsignal(number) for number in (TERM, CTRL_C)]
    output = tmp_path / "seed-0"
    told_to_leave(make_run(), output, function, calls, signals)
    assert f"{kept} epochs are kept" in caplog.text
    assert [signal.getsignal(number) for number in (TERM, CTRL_C)] == handlers
    assert not output.exists()

    train(make_run(), output, CPU)
    assert (f"resuming at epoch {kept} of {EPOCHS}" in caplog.text) == (kept > 0)
    train(make_run(), tmp_path / "undisturbed", CPU)
    for name in PRODUCTS:
        assert (output / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
