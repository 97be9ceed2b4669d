"""A run that keeps the weights of its best epoch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cardiouq.training import train as loop
from cardiouq.training import trajectory
from cardiouq.training.checkpoints import load_tensors
from cardiouq.training.run import Run
from cardiouq.training.train import train
from cardiouq.training.validation import Validation

CPU = torch.device("cpu")
MakeRun = Callable[..., Run]
KEPT = "checkpoints/epoch-0005.safetensors"


class Killed(BaseException):
    """Stands for a signal."""


@pytest.fixture
def selecting(recipe: dict[str, Any]) -> dict[str, Any]:
    return recipe | {"selection": "validation_nll"}


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Put made-up validation NLLs in the place of the measured ones."""

    def make_up(values: list[float]) -> None:
        left = iter(values)
        monkeypatch.setattr(loop, "validate", lambda *_: Validation(1.0, 0.5, next(left)))

    return make_up


@pytest.mark.parametrize(
    ("values", "best"),
    [([5, 3, 4, 2, 6, 7], 3), ([1, 2, 3, 4, 5, 6], 0), ([6, 5, 4, 3, 2, 1], 5)],
)
def test_weights_of_the_lowest_nll_stand_for_the_last_ones(
    make_run: MakeRun,
    selecting: dict[str, Any],
    numbers: Callable[[list[float]], None],
    tmp_path: Path,
    values: list[float],
    best: int,
) -> None:
    train(make_run(keep_epochs=range(6)), tmp_path / "every", CPU)
    numbers(values)
    train(make_run(recipe=selecting, keep_epochs=(5,)), tmp_path / "selected", CPU)
    # another recipe has another identity, and the same weights
    [kept] = (tmp_path / "selected/checkpoints").iterdir()
    assert kept.name == Path(KEPT).name
    expected = load_tensors(tmp_path / f"every/checkpoints/epoch-{best:04d}.safetensors")
    found = load_tensors(kept)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("stop_at", [2, 4])
def test_interrupted_run_selects_the_same_weights(
    make_run: MakeRun,
    selecting: dict[str, Any],
    numbers: Callable[[list[float]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: int,
) -> None:
    values = [5.0, 3.0, 4.0, 2.0, 6.0, 7.0]
    run = make_run(recipe=selecting, keep_epochs=(5,))
    numbers(values)
    train(run, tmp_path / "undisturbed", CPU)
    monkeypatch.setattr(trajectory, "SECONDS_BETWEEN_STATES", -1)
    numbers(values)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        original = trajectory.save_state

        def stop(path: Path, epoch: int, *arguments: Any) -> None:
            if epoch == stop_at:
                raise Killed
            original(path, epoch, *arguments)

        patch.setattr(trajectory, "save_state", stop)
        train(run, tmp_path / "run", CPU)
    numbers(values[stop_at:])  # the epoch whose state was not kept is done again
    train(run, tmp_path / "run", CPU)
    assert (tmp_path / "run" / KEPT).read_bytes() == (tmp_path / "undisturbed" / KEPT).read_bytes()


def test_epoch_that_is_lost_and_done_otherwise_is_not_selected(
    make_run: MakeRun,
    selecting: dict[str, Any],
    numbers: Callable[[list[float]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on another machine, where it may have another NLL."""
    run = make_run(recipe=selecting, keep_epochs=(5,))
    numbers([5.0, 3.0, 4.0, 3.2, 6.0, 7.0])
    train(run, tmp_path / "undisturbed", CPU)
    monkeypatch.setattr(trajectory, "SECONDS_BETWEEN_STATES", -1)
    numbers([5.0, 3.0])
    with pytest.raises(StopIteration):
        train(run, tmp_path / "run", CPU)
    monkeypatch.setattr(trajectory, "SECONDS_BETWEEN_STATES", 1000)
    numbers([4.0, 2.0])  # the lowest, and lost
    with pytest.raises(StopIteration):
        train(run, tmp_path / "run", CPU)
    numbers([4.0, 3.2, 6.0, 7.0])
    train(run, tmp_path / "run", CPU)
    assert (tmp_path / "run" / KEPT).read_bytes() == (tmp_path / "undisturbed" / KEPT).read_bytes()


def test_run_without_deep_supervision_trains_and_resumes(
    make_run: MakeRun,
    recipe: dict[str, Any],
    numbers: Callable[[list[float]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its lower heads get no gradient, so the optimiser has no state of theirs."""
    plain = recipe | {"deep_supervision": False, "loss": "cross_entropy"}
    run = make_run(recipe=plain | {"optimiser": {"name": "adamw", "weight_decay": 0.0}})
    train(run, tmp_path / "undisturbed", CPU)
    monkeypatch.setattr(trajectory, "SECONDS_BETWEEN_STATES", -1)
    numbers([1.0, 1.0, 1.0])
    with pytest.raises(StopIteration):
        train(run, tmp_path / "run", CPU)
    monkeypatch.undo()
    train(run, tmp_path / "run", CPU)
    assert (tmp_path / "run" / KEPT).read_bytes() == (tmp_path / "undisturbed" / KEPT).read_bytes()
