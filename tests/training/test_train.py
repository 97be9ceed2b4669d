"""What a run writes, and what its products depend on."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from cardiouq.errors import CardiouqError
from cardiouq.methods.base import BaseVariant, Member, Training
from cardiouq.recipes.network import build_network, last_decoder_layer
from cardiouq.recipes.optimiser import build_optimiser
from cardiouq.recipes.schedule import build_schedule
from cardiouq.structures import IGNORED
from cardiouq.study.schema import filled_in
from cardiouq.training import train as module
from cardiouq.training.checkpoints import load_tensors, load_weights
from cardiouq.training.history import HISTORY_COLUMNS, read_history, write_history
from cardiouq.training.run import Run
from cardiouq.training.train import train

CPU = torch.device("cpu")
MakeRun = Callable[..., Run]


@pytest.fixture
def finished(make_run: MakeRun, tmp_path: Path) -> Path:
    train(make_run(), tmp_path / "seed-0", CPU)
    return tmp_path / "seed-0"


def test_checkpoints_can_be_read_by_whom_all_files_can(finished: Path) -> None:
    modes = {path.stat().st_mode for path in finished.rglob("*") if path.is_file()}
    assert len(modes) == 1


def test_output_holds_the_products_and_nothing_else(finished: Path) -> None:
    files = {str(p.relative_to(finished)) for p in finished.rglob("*") if p.is_file()}
    assert files == {
        "SHA256SUMS",
        "run.json",
        "machine.json",
        "history.csv",
        "last_layer.npy",
        "checkpoints/epoch-0002.safetensors",
        "checkpoints/epoch-0005.safetensors",
    }
    assert [path.name for path in finished.parent.iterdir()] == ["seed-0"]


def test_history_has_every_epoch_once_with_its_learning_rate(
    finished: Path, recipe: dict[str, Any]
) -> None:
    history = pd.read_csv(finished / "history.csv")
    schedule = build_schedule(recipe["schedule"])
    assert tuple(history.columns) == HISTORY_COLUMNS
    assert history["epoch"].tolist() == list(range(6))
    assert history["learning_rate"].tolist() == pytest.approx(
        [schedule.learning_rate(epoch) for epoch in range(6)], rel=1e-12
    )
    assert history["validation_dice"].between(0, 1).all()
    assert history["train_loss"].nunique() == 6


def test_last_layer_holds_the_weights_of_every_epoch(finished: Path, make_run: MakeRun) -> None:
    layers = np.load(finished / "last_layer.npy")
    network = build_network(make_run().plan, make_run().recipe["dropout"])
    for epoch in (2, 5):
        name = f"epoch-{epoch:04d}.safetensors"
        load_weights(network, load_tensors(finished / "checkpoints" / name))
        np.testing.assert_array_equal(layers[epoch], last_decoder_layer(network).numpy())
    assert layers.dtype == np.float32
    assert len(np.unique(layers, axis=0)) == 6


def test_identity_says_settings_and_data(finished: Path, make_run: MakeRun) -> None:
    identity = json.loads((finished / "run.json").read_text(encoding="utf-8"))
    assert identity == make_run().identity()
    assert identity["data_fingerprint"] == "0123456789ab"


def test_same_run_gives_the_same_bits_and_another_member_does_not(
    finished: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    train(make_run(), tmp_path / "again", CPU)
    train(make_run(member=Member(1)), tmp_path / "other", CPU)
    name = "checkpoints/epoch-0005.safetensors"
    assert (finished / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert (finished / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_an_epoch_draws_the_same_whatever_the_global_random_state(
    finished: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    train(make_run(), tmp_path / "again", CPU)
    name = "last_layer.npy"
    assert (finished / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_training_lowers_the_loss(
    make_run: MakeRun, recipe: dict[str, Any], tmp_path: Path
) -> None:
    recipe["schedule"] = {"name": "polynomial", "epochs": 15, "alpha_0": 0.01, "epsilon": 0.9}
    recipe["optimiser"] = {"name": "adamw", "weight_decay": 0.0}
    recipe["augmentation"] = {"rotation_degrees": 0, "scale": [1.0, 1.0], "mirror": False}
    train(make_run(keep_epochs=(14,)), tmp_path / "run", CPU)
    loss = pd.read_csv(tmp_path / "run" / "history.csv")["train_loss"]
    assert loss[-3:].mean() < loss[:3].mean() - 0.2


def test_validation_patches_are_the_same_at_every_epoch(
    make_run: MakeRun, recipe: dict[str, Any], tmp_path: Path
) -> None:
    recipe["schedule"] = {"name": "polynomial", "epochs": 3, "alpha_0": 1e-30, "epsilon": 0.9}
    train(make_run(keep_epochs=(2,)), tmp_path / "run", CPU)
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert history["validation_loss"].nunique() == 1  # the weights hardly move
    assert history["train_loss"].nunique() == 3


def test_sgd_is_nnunet_s() -> None:
    written = {"name": "sgd", "momentum": 0.99, "weight_decay": 3e-5}
    settings = filled_in(written, "recipes", "any", "optimiser")
    group = build_optimiser(nn.Linear(1, 1), settings).param_groups[0]
    assert (group["momentum"], group["weight_decay"], group["nesterov"]) == (0.99, 3e-5, True)


@pytest.mark.parametrize("nesterov", [False, True])
def test_nesterov_s_momentum_can_be_switched_off(nesterov: bool) -> None:
    settings = {"name": "sgd", "momentum": 0.9, "nesterov": nesterov, "weight_decay": 0.0}
    assert build_optimiser(nn.Linear(1, 1), settings).param_groups[0]["nesterov"] is nesterov


def test_optimiser_is_told_the_rate_and_the_phase_of_every_epoch(
    make_run: MakeRun, recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[float, bool]] = []

    class Told(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            [group] = self.param_groups
            told.append((group["lr"], group["sampling"]))
            return super().step(closure)

    monkeypatch.setattr(
        module, "build_optimiser", lambda network, settings: Told(network.parameters(), lr=0.0)
    )
    train(make_run(), tmp_path / "run", CPU)
    schedule = build_schedule(recipe["schedule"])
    phases = [False, False, True] * 2  # two cycles of three epochs, gamma 0.5
    expected = [(schedule.learning_rate(e), sampling) for e, sampling in enumerate(phases)]
    assert told == [epoch for epoch in expected for _ in range(recipe["iterations_per_epoch"])]


def test_a_variant_is_told_how_much_of_the_run_is_over(
    make_run: MakeRun,
    recipe: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[float] = []

    class Told(BaseVariant):
        def loss(self, heads: Sequence[Tensor], labels: Tensor, training: Training) -> Tensor:
            told.append(training.progress.item())
            return super().loss(heads, labels, training)

    monkeypatch.setattr(module, "build_variant", lambda block: Told())
    train(make_run(), tmp_path / "run", CPU)
    steps = recipe["iterations_per_epoch"]
    assert told == pytest.approx([epoch / 6 for epoch in range(6) for _ in range(steps)])


def test_a_network_with_what_a_run_does_not_keep_is_refused(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(BaseVariant):
        def network(self, plain: nn.Module) -> nn.Module:
            return nn.Sequential(plain, nn.BatchNorm2d(4))

    monkeypatch.setattr(module, "build_variant", lambda block: Own())
    with pytest.raises(CardiouqError, match=r"recipe cyclical: .*buffers \['1.running_mean'"):
        train(make_run(), tmp_path / "run", CPU)


def test_a_network_of_another_kind_has_no_last_decoder_layer(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(BaseVariant):
        def network(self, plain: nn.Module) -> nn.Module:
            return nn.Conv2d(1, 4, 3, padding=1)

        def loss(self, heads: Sequence[Tensor], labels: Tensor, training: Training) -> Tensor:
            return super().loss([torch.stack(list(heads))], labels, training)

    monkeypatch.setattr(module, "build_variant", lambda block: Own())
    train(make_run(), tmp_path / "run", CPU)
    assert np.load(tmp_path / "run" / "last_layer.npy").shape == (6, 0)


@pytest.mark.parametrize(("factor", "least", "most"), [(1e4, 11.99, 12.01), (1e-4, 0, 0.1)])
def test_gradients_are_clipped_to_nnunet_s_norm(
    make_run: MakeRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    factor: float,
    least: float,
    most: float,
) -> None:
    norms: list[float] = []

    class Scaled(BaseVariant):
        def loss(self, heads: Sequence[Tensor], labels: Tensor, training: Training) -> Tensor:
            return factor * super().loss(heads, labels, training)

    class Noted(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            [group] = self.param_groups
            norms.append(nn.utils.get_total_norm([p.grad for p in group["params"]]).item())

    monkeypatch.setattr(module, "build_variant", lambda block: Scaled())
    monkeypatch.setattr(module, "build_optimiser", lambda network, _: Noted(network.parameters()))
    train(make_run(), tmp_path / "run", CPU)
    assert len(norms) == 12
    assert least < min(norms) <= max(norms) < most


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_no_number_ends_the_training_unfinished(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    class Diverged(BaseVariant):
        def loss(self, heads: Sequence[Tensor], labels: Tensor, training: Training) -> Tensor:
            return super().loss(heads, labels, training) + (value if training.progress else 0)

    monkeypatch.setattr(module, "build_variant", lambda block: Diverged())
    told = rf"recipe cyclical: the loss became {value} in epoch 1 of run 0; .*`schedule\.alpha_0`"
    with pytest.raises(CardiouqError, match=told):
        train(make_run(), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("stages", "weights"), [(3, [1]), (4, [2 / 3, 1 / 3])])
def test_the_lowest_decoder_stage_is_not_supervised(
    make_run: MakeRun, stages: int, weights: list[float]
) -> None:
    """As nnU-Net gives it the weight 0."""
    run = make_run()
    cut = {
        name: getattr(run.plan, name)[:stages]
        for name in ("features_per_stage", "strides", "kernel_sizes")
    }
    setup = module.set_up(replace(run, plan=replace(run.plan, n_stages=stages, **cut)), CPU)
    assert setup.training.plain_loss.weights == weights


def test_seeds_differ_between_recipes_members_and_epochs(make_run: MakeRun) -> None:
    members = [Member(), Member(1), Member(fold=0, folds=2), Member(branch=1), Member(branch=-1)]
    runs = [*(make_run(member=m) for m in members), make_run(recipe_name="other")]
    seeds = {run.seed_for("patches", epoch) for run in runs for epoch in range(3)}
    assert len(seeds) == 3 * len(runs)


def test_a_run_learns_from_what_is_annotated_in_part(
    make_run: MakeRun, recipe: dict[str, Any], arrays: Path, tmp_path: Path
) -> None:
    """Of most slices nothing is known, of the others a part; so too on the validation side."""
    for file in arrays.glob("*.npy"):
        array = np.load(file)
        if file.name.endswith("_label.npy"):
            array[[0, 1, 3]] = IGNORED
            array[2, :, ::3] = IGNORED
        np.save(tmp_path / file.name, array)
    recipe["schedule"] = {"name": "polynomial", "epochs": 15, "alpha_0": 0.01, "epsilon": 0.9}
    recipe["optimiser"] = {"name": "adamw", "weight_decay": 0.0}
    train(make_run(keep_epochs=(14,), arrays=tmp_path), tmp_path / "run", CPU)
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert np.isfinite(history).all(axis=None)
    assert history["train_loss"][-3:].mean() < history["train_loss"][:3].mean() - 0.2
    assert history["validation_nll"].iloc[-1] < history["validation_nll"].iloc[0]


def test_a_history_is_read_back_bit_for_bit_with_what_is_no_number(tmp_path: Path):
    rng = np.random.default_rng(0)
    others = len(HISTORY_COLUMNS) - 1
    rows = [
        dict(zip(HISTORY_COLUMNS, [epoch, *rng.random(others)], strict=True)) for epoch in range(99)
    ]
    rows[7]["validation_loss"], rows[8]["validation_nll"] = np.nan, np.inf
    write_history(rows, tmp_path / "history.csv")
    np.testing.assert_array_equal(
        pd.DataFrame(read_history(tmp_path / "history.csv")), pd.DataFrame(rows)
    )


def test_a_history_without_processor_time_is_gone_on_with(tmp_path: Path):
    path = tmp_path / "history.csv"
    row = dict.fromkeys(HISTORY_COLUMNS, 1.0)
    pd.DataFrame([row]).drop(columns="processor_seconds").to_csv(path, index=False)
    write_history([*read_history(path), row], path)
    first, second = read_history(path)
    assert np.isnan(first.pop("processor_seconds"))
    assert first == {name: 1.0 for name in HISTORY_COLUMNS if name != "processor_seconds"}
    assert second == row
