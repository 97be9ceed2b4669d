"""A branch goes on from the whole state of the run that it starts from, with a loss of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from cardiouq.errors import CardiouqError
from cardiouq.methods.base import Member
from cardiouq.recipes.network import build_network
from cardiouq.recipes.optimiser import build_optimiser
from cardiouq.seeds import derive
from cardiouq.training.checkpoints import load_state
from cardiouq.training.history import HISTORY_COLUMNS
from cardiouq.training.run import Run
from cardiouq.training.train import train

CPU = torch.device("cpu")
SHARED = 3
"""The last epoch that the base and its branches share, of 6."""
STATE = f"states/epoch-{SHARED:04d}.safetensors"
LAST = "checkpoints/epoch-0005.safetensors"
OPTIMISERS = {
    "sgd": {"name": "sgd", "momentum": 0.99, "weight_decay": 3e-5},
    "adamw": {"name": "adamw", "weight_decay": 0.01},
}
MakeRun = Callable[..., Run]


@pytest.fixture(params=OPTIMISERS)
def optimiser(request: pytest.FixtureRequest, recipe: dict[str, Any]) -> dict[str, Any]:
    recipe["optimiser"] = OPTIMISERS[request.param]
    return OPTIMISERS[request.param]


@pytest.fixture
def base(make_run: MakeRun, tmp_path: Path) -> Path:
    """A finished run that keeps its state, and the weights of the same epoch."""
    train(make_run(keep_epochs=(SHARED, 5), branch_epochs=(SHARED,)), tmp_path / "base", CPU)
    return tmp_path / "base"


@pytest.fixture
def branch(make_run: MakeRun, recipe: dict[str, Any]) -> Callable[[Path, int], Run]:
    """The run that starts from a base's state with the loss of w."""

    def make(base: Path, w: int) -> Run:
        return make_run(
            recipe_name="biased",
            recipe=recipe | {"variant": {"name": "calibrated_ensemble"}},
            member=Member(branch=w),
            keep_epochs=(5,),
            base=str(base / STATE),
        )

    return make


def read(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "history.csv", dtype=str)


@pytest.mark.usefixtures("optimiser")
def test_branch_without_a_change_is_the_rest_of_its_base(
    make_run: MakeRun, base: Path, tmp_path: Path
) -> None:
    """With the base's own seeds and loss: weights, optimiser and trajectory were all taken over."""
    train(make_run(keep_epochs=(5,), base=str(base / STATE)), tmp_path / "branch", CPU)
    for name in (LAST, "last_layer.npy"):
        assert (tmp_path / "branch" / name).read_bytes() == (base / name).read_bytes()
    columns = [column for column in HISTORY_COLUMNS if "seconds" not in column]
    rest = read(base)[columns][SHARED + 1 :].reset_index(drop=True)
    pd.testing.assert_frame_equal(read(tmp_path / "branch")[columns], rest)


def test_state_is_the_base_s_weights_and_optimiser_after_the_shared_epoch(
    optimiser: dict[str, Any], make_run: MakeRun, base: Path
) -> None:
    run = make_run()
    network = build_network(run.plan, run.recipe["dropout"])
    restored = build_optimiser(network, run.settings["optimiser"])
    epoch, last_layers, _ = load_state(base / STATE, network, restored)
    assert epoch == SHARED + 1
    weights = load_file(base / "checkpoints" / f"epoch-{SHARED:04d}.safetensors")
    for name, parameter in network.named_parameters():
        np.testing.assert_array_equal(parameter.detach().numpy(), weights[name])
    kept = load_file(base / STATE)
    state = restored.state_dict()["state"]
    assert len(state) == len(list(network.parameters()))
    names = {"sgd": {"momentum_buffer"}, "adamw": {"step", "exp_avg", "exp_avg_sq"}}
    for index, values in state.items():
        assert values.keys() == names[optimiser["name"]]
        for name, value in values.items():
            np.testing.assert_array_equal(value.numpy(), kept[f"optimiser/{index}/{name}"])
    layers = np.load(base / "last_layer.npy")
    np.testing.assert_array_equal(last_layers[: SHARED + 1].numpy(), layers[: SHARED + 1])
    assert not last_layers[SHARED + 1 :].any()


def test_branch_trains_the_epochs_after_the_shared_one_alone(
    branch: Callable[[Path, int], Run], base: Path, tmp_path: Path
) -> None:
    train(branch(base, 1), tmp_path / "branch", CPU)
    assert read(tmp_path / "branch")["epoch"].tolist() == ["4", "5"]
    layers, shared = (np.load(folder / "last_layer.npy") for folder in (tmp_path / "branch", base))
    np.testing.assert_array_equal(layers[: SHARED + 1], shared[: SHARED + 1])
    assert (layers[SHARED + 1 :] != shared[SHARED + 1 :]).any(1).all()
    assert not (tmp_path / "branch" / "states").exists()


def test_branches_differ_by_their_loss(
    branch: Callable[[Path, int], Run],
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # the same patches for all, so that nothing but w can make a difference
    monkeypatch.setattr(Run, "seed_for", lambda run, *purpose: derive(run.seed, *purpose))
    for w in (-2, 0, 2):
        train(branch(base, w), tmp_path / f"w{w}", CPU)
    train(branch(base, 2), tmp_path / "again", CPU)
    weights = {folder: (tmp_path / folder / LAST).read_bytes() for folder in ("w-2", "w0", "w2")}
    assert len(set(weights.values())) == 3
    assert weights["w2"] == (tmp_path / "again" / LAST).read_bytes()
    losses = [float(read(tmp_path / f"w{w}")["train_loss"][0]) for w in (-2, 0, 2)]
    # cross-entropy's foreground weight is exp(-w), and it dominates an untrained network's loss
    assert losses == sorted(losses, reverse=True)


def test_base_is_what_it_would_be_without_branches(
    make_run: MakeRun, base: Path, tmp_path: Path
) -> None:
    train(make_run(keep_epochs=(SHARED, 5)), tmp_path / "plain", CPU)
    assert (tmp_path / "plain" / LAST).read_bytes() == (base / LAST).read_bytes()
    assert not (tmp_path / "plain" / "states").exists()
    assert [path.name for path in (base / "states").iterdir()] == [Path(STATE).name]


def test_base_without_the_state_is_one_clear_error(
    branch: Callable[[Path, int], Run], base: Path, tmp_path: Path
) -> None:
    (base / STATE).unlink()
    with pytest.raises(CardiouqError, match="missing") as caught:
        train(branch(base, 1), tmp_path / "branch", CPU)
    assert str(base / STATE) in str(caught.value)
    assert not (tmp_path / "branch").exists()


def test_state_of_another_network_is_refused(
    branch: Callable[[Path, int], Run], base: Path, tmp_path: Path
) -> None:
    run = branch(base, 1)
    run.recipe["variant"] = {"name": "layer_ensemble"}
    with pytest.raises(KeyError, match="heads"):
        train(run, tmp_path / "branch", CPU)
