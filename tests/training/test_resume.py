"""An interrupted run, resumed, ends with the bits of an undisturbed one."""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from torch._dynamo.utils import counters

from cardiouq.device.environment import COMPILE_VARIABLE
from cardiouq.errors import CardiouqError
from cardiouq.files import locks
from cardiouq.files.locks import try_lock
from cardiouq.methods.base import Member
from cardiouq.provenance import record
from cardiouq.training import train as loop
from cardiouq.training import trajectory
from cardiouq.training.history import HISTORY_COLUMNS
from cardiouq.training.run import Run
from cardiouq.training.train import train

CPU = torch.device("cpu")
MakeRun = Callable[..., Run]
STATE = "resume.safetensors"
PRODUCTS = (
    "last_layer.npy",
    "checkpoints/epoch-0002.safetensors",
    "checkpoints/epoch-0005.safetensors",
)


class Killed(BaseException):
    """Stands for a signal."""


@pytest.fixture(autouse=True)
def state_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trajectory, "SECONDS_BETWEEN_STATES", -1)


@pytest.fixture
def undisturbed(make_run: MakeRun, tmp_path: Path) -> Path:
    train(make_run(), tmp_path / "undisturbed", CPU)
    return tmp_path / "undisturbed"


def side_of(output: Path) -> Path:
    return output.with_name(f".{output.name}.unfinished")


def interrupt(run: Run, output: Path, function: str, calls: int) -> None:
    """Train until a function of the training has been called so often, then stop dead."""
    module = trajectory if hasattr(trajectory, function) else loop
    original, count = getattr(module, function), 0

    def stop(*arguments: Any) -> Any:
        nonlocal count
        if count == calls:
            raise Killed
        count += 1
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, function, stop)
        train(run, output, CPU)


def interrupted_at(run: Run, output: Path, epoch: int) -> Path:
    interrupt(run, output, "validate", epoch)
    return side_of(output)


def assert_same(output: Path, undisturbed: Path, products: Sequence[str] = PRODUCTS) -> None:
    for name in products:
        assert (output / name).read_bytes() == (undisturbed / name).read_bytes(), name
    columns = [c for c in HISTORY_COLUMNS if "seconds" not in c]
    histories = [pd.read_csv(f / "history.csv", dtype=str)[columns] for f in (output, undisturbed)]
    pd.testing.assert_frame_equal(*histories)
    assert not side_of(output).exists()


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        ("validate", 0),  # before anything was kept
        ("validate", 3),  # in the middle of epoch 3
        ("save_tensors", 0),  # before the first checkpoint is written
        ("save_tensors", 1),  # before the last checkpoint is written
        ("write_history", 2),  # after epoch 2, before its state is kept
        ("write_history", 5),  # at the very end
    ],
)
def test_run_interrupted_anywhere_ends_with_the_same_bits(
    make_run: MakeRun, undisturbed: Path, tmp_path: Path, function: str, calls: int
) -> None:
    output = tmp_path / "seed-0"
    interrupt(make_run(), output, function, calls)
    assert not output.exists()
    train(make_run(), output, CPU)
    assert_same(output, undisturbed)


@pytest.mark.parametrize(
    "optimiser",
    [{"name": "adamw"}, {"name": "sgd", "momentum": 0.99}],
    ids=lambda each: each["name"],
)
def test_interrupted_run_in_full_precision_ends_with_the_same_bits(
    make_run: MakeRun,
    recipe: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimiser: dict[str, Any],
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    run = make_run(recipe=recipe | {"optimiser": optimiser | {"weight_decay": 0.01}})
    train(run, tmp_path / "undisturbed", CPU)
    interrupted_at(run, tmp_path / "seed-0", 3)
    train(run, tmp_path / "seed-0", CPU)
    assert_same(tmp_path / "seed-0", tmp_path / "undisturbed")


@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles with it")
def test_compiled_run_interrupted_ends_with_the_same_bits(
    make_run: MakeRun, recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMPILE_VARIABLE, "always")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    counters.clear()
    plain = {**recipe, "deep_supervision": False, "dropout": {"p": 0.0, "place": "all"}}
    run = make_run(recipe=plain)  # small, as it is compiled three times
    train(run, tmp_path / "undisturbed", CPU)
    interrupt(run, tmp_path / "seed-0", "validate", 3)
    train(run, tmp_path / "seed-0", CPU)
    assert_same(tmp_path / "seed-0", tmp_path / "undisturbed")
    [machine] = record.machines(tmp_path / "seed-0")
    assert machine["precision"].endswith(", compiled")
    assert counters["stats"]["unique_graphs"] >= 1
    assert not counters["graph_break"]


def test_run_interrupted_between_history_and_state_has_every_epoch_once(
    make_run: MakeRun, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, output = trajectory.save_state, tmp_path / "seed-0"

    def stop(path: Path, epoch: int, *arguments: Any) -> None:
        if epoch == 3:
            raise Killed
        original(path, epoch, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(trajectory, "save_state", stop)
        train(make_run(), output, CPU)
    train(make_run(), output, CPU)
    assert_same(output, undisturbed)


def test_run_interrupted_after_every_epoch_ends_with_the_same_bits(
    make_run: MakeRun, undisturbed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "seed-0"
    for _ in range(5):
        interrupt(make_run(), output, "validate", 1)
    train(make_run(), output, CPU)
    assert_same(output, undisturbed)


def test_resumed_run_does_not_train_kept_epochs_again(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, trained = tmp_path / "seed-0", []
    interrupted_at(make_run(), output, 4)
    original = loop.validate

    def validate(*arguments: Any) -> Any:
        trained.append("an epoch")
        return original(*arguments)

    monkeypatch.setattr(loop, "validate", validate)
    train(make_run(), output, CPU)
    assert len(trained) == 2, "epochs 4 and 5 of 6 were left"


@pytest.mark.parametrize("change", ["recipe", "seed", "keep_epochs", "branch_epochs", "member"])
def test_side_folder_of_another_run_is_not_resumed(
    make_run: MakeRun, recipe: dict[str, Any], tmp_path: Path, change: str
) -> None:
    output = tmp_path / "seed-0"
    interrupted_at(make_run(), output, 4)
    changes: dict[str, Any] = {
        "recipe": recipe | {"batch_size": 2},
        "seed": 1,
        "keep_epochs": (5,),
        "branch_epochs": (3,),
        "member": Member(1),
    }
    other = make_run(**{change: changes[change]})
    train(other, output, CPU)
    train(other, tmp_path / "afresh", CPU)
    timed = ("history.csv", "SHA256SUMS")
    for path in (tmp_path / "afresh").rglob("*.*"):
        if path.name in timed:
            continue
        assert (output / path.relative_to(tmp_path / "afresh")).read_bytes() == path.read_bytes()
    assert json.loads((output / "run.json").read_text(encoding="utf-8")) == other.identity()


def test_state_of_other_scans_is_kept_and_told(
    make_run: MakeRun, undisturbed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As where `acdc_root` was wrong once."""
    caplog.set_level(logging.INFO)
    output = tmp_path / "seed-0"
    side = interrupted_at(make_run(), output, 4)
    other = make_run(fingerprint="ffffffffffff")
    with pytest.raises(CardiouqError, match="delete the folder to train the run anew") as caught:
        train(other, output, CPU)
    assert f"{side}: holds the epochs" in str(caught.value)
    assert "(fingerprint 0123456789ab) than the study has now (ffffffffffff)" in str(caught.value)
    train(make_run(), output, CPU)
    assert "resuming at epoch 4 of 6" in caplog.text
    assert_same(output, undisturbed)


def test_kill_while_products_become_the_output_costs_nothing(
    make_run: MakeRun, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "seed-0"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("cardiouq.training.run_folder._link", _link_once())
        train(make_run(), output, CPU)
    assert side_of(output).is_dir()
    train(make_run(), output, CPU)
    assert_same(output, undisturbed)


def _link_once() -> Callable[[str, str], None]:
    done: list[str] = []

    def link(source: str, target: str) -> None:
        if done:
            raise Killed
        Path(target).write_bytes(Path(source).read_bytes())
        done.append(target)

    return link


def test_leftover_of_a_killed_write_does_not_reach_the_output(
    make_run: MakeRun, undisturbed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "seed-0"
    side = interrupted_at(make_run(), output, 3)
    # what `atomic_write` leaves behind when its process is killed
    (side / "products" / "checkpoints" / ".partial-1-epoch-0005.safetensors").write_bytes(b"half")
    train(make_run(), output, CPU)
    assert_same(output, undisturbed)
    assert {p.name for p in (output / "checkpoints").iterdir()} == {
        "epoch-0002.safetensors",
        "epoch-0005.safetensors",
    }


def test_state_whose_products_are_gone_is_not_resumed(
    make_run: MakeRun, undisturbed: Path, tmp_path: Path
) -> None:
    """A kill while the side folder is removed can leave the state alone behind."""
    output = tmp_path / "seed-0"
    side = interrupted_at(make_run(), output, 4)
    for path in sorted((side / "products").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (side / "products").rmdir()
    assert (side / STATE).is_file()
    train(make_run(), output, CPU)
    assert_same(output, undisturbed)


def test_old_output_of_the_run_is_replaced(
    make_run: MakeRun, undisturbed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "seed-0"
    (output / "checkpoints").mkdir(parents=True)
    (output / "checkpoints" / "epoch-0001.safetensors").write_bytes(b"old")
    train(make_run(), output, CPU)
    assert_same(output, undisturbed)
    assert not (output / "checkpoints" / "epoch-0001.safetensors").exists()


def test_state_holds_tensors_of_the_weights_and_the_momentum(
    make_run: MakeRun, tmp_path: Path
) -> None:
    side = interrupted_at(make_run(), tmp_path / "seed-0", 2)
    state = load_file(side / STATE)
    assert int(state["epoch"]) == 1
    assert any(name.startswith("optimiser/") and name.endswith("momentum_buffer") for name in state)
    assert np.count_nonzero(state["extra"].any(1)) == 2


def test_broken_state_is_one_clear_error(make_run: MakeRun, tmp_path: Path) -> None:
    side = interrupted_at(make_run(), tmp_path / "seed-0", 2)
    (side / STATE).write_bytes(b"not tensors")
    with pytest.raises(CardiouqError, match="delete") as caught:
        train(make_run(), tmp_path / "seed-0", CPU)
    assert str(side / STATE) in str(caught.value)


@pytest.fixture
def base(make_run: MakeRun, tmp_path: Path) -> Path:
    """A finished run that keeps its state after epoch 2."""
    train(make_run(branch_epochs=(2,)), tmp_path / "base", CPU)
    return tmp_path / "base"


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        ("validate", 0),  # nothing of the branch was kept: it starts from the base again
        ("validate", 1),  # in the middle of its second epoch
        ("save_tensors", 0),  # before its checkpoint is written
        ("write_history", 1),  # between its second epoch and that epoch's state
    ],
)
def test_branch_interrupted_anywhere_ends_with_the_same_bits(
    make_run: MakeRun,
    recipe: dict[str, Any],
    base: Path,
    tmp_path: Path,
    function: str,
    calls: int,
) -> None:
    branch = make_run(
        recipe=recipe | {"variant": {"name": "calibrated_ensemble"}},
        member=Member(branch=2),
        keep_epochs=(5,),
        base=str(base / "states" / "epoch-0002.safetensors"),
    )
    train(branch, tmp_path / "undisturbed", CPU)
    output = tmp_path / "seed-0-branch+2"
    interrupt(branch, output, function, calls)
    assert not output.exists()
    train(branch, output, CPU)
    assert_same(output, tmp_path / "undisturbed", (PRODUCTS[0], PRODUCTS[2]))
    assert pd.read_csv(output / "history.csv")["epoch"].tolist() == [3, 4, 5]


@pytest.mark.parametrize("calls", [2, 4])  # validations: before, and well after, epoch 2 was kept
def test_interrupted_base_keeps_the_same_state_for_its_branches(
    make_run: MakeRun, base: Path, tmp_path: Path, calls: int
) -> None:
    output, run = tmp_path / "seed-0", make_run(branch_epochs=(2,))
    interrupt(run, output, "validate", calls)
    train(run, output, CPU)
    assert_same(output, base, (*PRODUCTS, "states/epoch-0002.safetensors"))


def stamps(output: Path) -> dict[str, int]:
    """When each checkpoint was written."""
    return {path.name: path.stat().st_mtime_ns for path in (output / "checkpoints").iterdir()}


def test_finished_run_is_kept(make_run: MakeRun, undisturbed: Path) -> None:
    before = stamps(undisturbed)
    train(make_run(), undisturbed, CPU)
    assert stamps(undisturbed) == before
    assert not side_of(undisturbed).exists()


def test_finished_run_of_other_code_or_scans_is_kept_until_its_folder_is_deleted(
    make_run: MakeRun,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A prediction refuses a run of other scans, and says to delete it."""
    caplog.set_level(logging.INFO)
    before = stamps(undisturbed)
    trained_by = record.code_hash(record.repository())
    monkeypatch.setattr(record, "code_files", lambda root: {})
    now = record.code_hash(record.repository())
    train(make_run(fingerprint="ffffffffffff"), undisturbed, CPU)
    assert stamps(undisturbed) == before
    assert f"trained by the code {trained_by}, where the present is {now}; delete" in caplog.text
    shutil.rmtree(undisturbed)
    train(make_run(fingerprint="ffffffffffff"), undisturbed, CPU)
    assert "ffffffffffff" in (undisturbed / "run.json").read_text(encoding="utf-8")
    [machine] = record.machines(undisturbed)
    assert machine["code"] == now


def test_two_processes_do_not_train_the_same_run(
    make_run: MakeRun,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The other one is held up by a lock, and finds the run finished."""
    caplog.set_level(logging.INFO)
    output = tmp_path / "seed-0"
    lock = try_lock(tmp_path / ".seed-0.lock")
    assert lock is not None

    def sleep(seconds: float) -> None:
        assert not side_of(output).exists()
        undisturbed.rename(output)
        lock.close()

    before = stamps(undisturbed)
    monkeypatch.setattr(locks.time, "sleep", sleep)
    train(make_run(), output, CPU)
    assert "waiting for its end" in caplog.text
    assert stamps(output) == before
    assert {path.name for path in tmp_path.iterdir() if "seed-0" in path.name} == {"seed-0"}
