"""From checkpoints on disk to networks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from cardiouq.data.plan import Plan
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import atomic_write
from cardiouq.methods import build_method, method_module
from cardiouq.methods.base import BaseMethod, Member
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import HeldOut, RunOnDisk
from cardiouq.recipes.schedule import CyclicalSchedule, PolynomialSchedule
from cardiouq.training.history import HISTORY_COLUMNS, write_history

MakeRun = Callable[..., RunOnDisk]
OpenAgain = Callable[..., RunOnDisk]
SCHEDULE = CyclicalSchedule(
    20, cycles=2, gamma=0.5, alpha_0=0.01, alpha_r=0.1, epsilon=0.9, denominator="T"
)
LAST = PolynomialSchedule(epochs=20, alpha_0=0.01, epsilon=0.9)


def network_of(method: BaseMethod, run: RunOnDisk, schedule: Any) -> Any:
    """What the only draw of a method predicts with."""
    [draw] = method.draws([run], schedule, method.fit([run], schedule))
    return draw.network


def test_swa_has_the_mean_of_the_checkpoints_weights(make_run: MakeRun) -> None:
    run = make_run(0, {15: 1, 17: 2, 19: 3})
    method = build_method({"method": "swa", "checkpoints": 3, "step": 2})
    network = network_of(method, run, SCHEDULE)
    files = [run.folder / "checkpoints" / f"epoch-{e:04d}.safetensors" for e in (15, 17, 19)]
    checkpoints = [load_file(file) for file in files]
    for name, weight in network.named_parameters():
        by_hand = np.mean([c[name].astype(np.float64) for c in checkpoints], axis=0)
        np.testing.assert_array_equal(weight.detach().numpy(), by_hand.astype(np.float32))
    assert {name for name, _ in network.named_parameters()} == checkpoints[0].keys()


def test_swag_of_rank_zero_without_variance_is_swa_bit_for_bit(make_run: MakeRun) -> None:
    run = make_run(0, {15: 1, 17: 2, 19: 3})
    common = {"checkpoints": 3, "step": 2}
    swa = network_of(build_method({"method": "swa", **common}), run, SCHEDULE)
    none = {"rank": 0, "scale": 0, "samples": 1}
    swag = network_of(build_method({"method": "swag", **common, **none}), run, SCHEDULE)
    for (name, ours), (_, averaged) in zip(
        swag.named_parameters(), swa.named_parameters(), strict=True
    ):
        assert torch.equal(ours, averaged), name
    images = torch.randn(2, 1, 32, 32)
    assert torch.equal(swag(images), swa(images))


def test_mean_of_one_checkpoint_is_that_checkpoint(make_run: MakeRun) -> None:
    run = make_run(0, {19: 3})
    pairs = zip(run.mean_network([19]).parameters(), run.network(19).parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_networks_come_in_evaluation_mode(make_run: MakeRun) -> None:
    run = make_run(0, {19: 3}, dropout=0.5)
    for network in (run.network(19), run.mean_network([19])):
        assert not any(module.training for module in network.modules())


def test_dropout_is_off_in_vanilla(make_run: MakeRun) -> None:
    run = make_run(0, {19: 3}, dropout=0.5)
    method = build_method({"method": "single"})
    network = network_of(method, run, LAST)
    images = torch.randn(2, 1, 32, 32)
    assert torch.equal(network(images), network(images))


def test_mc_dropout_switches_on_dropout_and_nothing_else(make_run: MakeRun) -> None:
    run = make_run(0, {19: 3}, dropout=0.5)
    method = build_method({"method": "mc_dropout", "passes": 1})
    network = network_of(method, run, LAST)
    on = {type(module).__name__ for module in network.network.modules() if module.training}
    assert on == {"Dropout"}
    images = torch.randn(2, 1, 32, 32)
    assert network(images).shape == (2, 4, 32, 32)  # no deep supervision
    assert not torch.equal(network(images), network(images))


@pytest.fixture
def open_again(plan: Plan, arrays: Path) -> OpenAgain:
    """The folder of a run, opened by what a study says of it."""

    def opened(
        run: RunOnDisk,
        member: int = 0,
        fingerprint: str = "0123456789ab",
        earlier: str = "",
        **recipe: Any,
    ) -> RunOnDisk:
        cpu = torch.device("cpu")
        held_out = HeldOut(("c",), arrays, Predictor(plan, 0.25, cpu))
        of_study = {**run.recipe, **recipe}
        found = run.folder, of_study, Member(member), plan, fingerprint, cpu, held_out
        return RunOnDisk(*found, lambda: earlier)

    return opened


def test_run_of_other_data_is_refused(make_run: MakeRun, open_again: OpenAgain) -> None:
    run = make_run(0, {19: 3})
    open_again(run)
    with pytest.raises(CardiouqError, match="other scans") as caught:
        open_again(run, fingerprint="ffffffffffff")
    assert str(run.folder) in str(caught.value)


def test_run_of_an_earlier_version_is_taken_if_its_scans_are_the_same(
    make_run: MakeRun, open_again: OpenAgain, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(0, {19: 3})
    open_again(run, fingerprint="ffffffffffff", earlier="0123456789ab").network(19)
    [record] = caplog.records
    assert str(run.folder) in record.getMessage()
    with pytest.raises(CardiouqError, match="other scans"):
        open_again(run, fingerprint="ffffffffffff", earlier="eeeeeeeeeeee")


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({"member": 1}, "member"),
        ({"dropout": {"p": 0.5, "place": "all"}}, "recipe.dropout.p"),
        ({"variant": {"name": "layer_ensemble"}}, "recipe.variant"),
        ({"batch_size": 2, "seed": 1}, "recipe.batch_size, recipe.seed"),
    ],
)
def test_run_of_another_recipe_or_member_than_the_study_s_is_refused(
    make_run: MakeRun, open_again: OpenAgain, changes: dict[str, Any], differing: str
) -> None:
    run = make_run(0, {19: 3})
    with pytest.raises(CardiouqError, match=f"another {differing} than the study") as caught:
        open_again(run, **changes)
    assert str(caught.value).startswith(str(run.folder / "run.json"))
    assert str(caught.value).endswith(f"delete {run.folder} to train the run anew")


@pytest.mark.parametrize("path", ["{folder}/trap.py", "trap.py", "../trap.py"])
@pytest.mark.parametrize("noted", [True, False])
def test_code_that_a_run_names_is_not_run(
    make_run: MakeRun,
    open_again: OpenAgain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    noted: bool,
) -> None:
    """Whoever gives results away may write their hashes too."""
    run = make_run(0, {19: 3})
    monkeypatch.chdir(run.folder)
    named = path.format(folder=run.folder)
    Path(named).write_text(
        f"open({str(tmp_path / 'marker')!r}, 'w').close()\n"
        "from cardiouq.methods.base import BaseVariant as Variant\n",
        encoding="utf-8",
    )
    identity = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    identity["recipe"]["variant"] = {"name": named}
    with atomic_write(run.folder / "run.json") as temporary:
        temporary.write_text(json.dumps(identity), encoding="utf-8")
    if not noted:
        (run.folder / ".run.json.sha256").unlink()
    with pytest.raises(CardiouqError, match=r"another recipe\.variant than the study"):
        open_again(run).network(19)
    run.network(19)  # opened before
    assert not (tmp_path / "marker").exists()
    method_module.cache_clear()
    method_module(named)  # a study may name it
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read as JSON"),
        ('{"recipe": {"dropout": {"p": 0.0, "pl', "cannot be read as JSON"),
        ("[]", "is not of type object"),
        ("{}", "recipe: missing"),
        ('{"recipe": {}, "member": "none", "data_fingerprint": "0123456789ab"}', "member"),
        ('{"recipe": {}, "member": "0", "data_fingerprint": 7}', "data_fingerprint"),
    ],
)
def test_broken_record_of_a_run_is_one_error_that_names_it(
    make_run: MakeRun, open_again: OpenAgain, text: str, said: str
) -> None:
    run = make_run(0, {19: 3})
    with atomic_write(run.folder / "run.json") as temporary:
        temporary.write_text(text, encoding="utf-8")
    with pytest.raises(CardiouqError) as caught:
        open_again(run)
    assert str(caught.value).startswith(f"{run.folder / 'run.json'}: ")
    assert said in str(caught.value)


def test_held_out_cases_come_with_the_network_s_output_and_their_reference(
    make_run: MakeRun, plan: Plan, arrays: Path
) -> None:
    run = make_run(0, {19: 3})
    network = run.network(19)
    [(output, reference)] = run.held_out(network)
    np.testing.assert_array_equal(reference, np.load(arrays / "c_label.npy"))
    image = np.load(arrays / "c_image.npy")
    expected = Predictor(plan, 0.25, torch.device("cpu")).output(network, image)
    assert output.shape == (4, 4, 40, 40)  # slices, classes, rows and columns of the plan's grid
    assert torch.equal(output, expected)


def test_validation_loss_is_the_history_s_of_that_epoch(make_run: MakeRun) -> None:
    run = make_run(0, {19: 3})
    # a branch's history starts after the epochs that it shares
    history = [dict.fromkeys(HISTORY_COLUMNS, 0.0) | {"epoch": e} for e in range(15, 20)]
    for row in history:
        row["validation_loss"] = row["epoch"] / 7
    write_history(history, run.folder / "history.csv")
    assert [run.validation_loss(epoch) for epoch in (15, 19)] == [15 / 7, 19 / 7]
    with pytest.raises(KeyError):
        run.validation_loss(14)


@pytest.mark.parametrize(
    "variant",
    [
        {"name": "bayes_by_backprop"},
        {"name": "layer_ensemble"},
        {"name": "stochastic_segmentation", "rank": 2},
        {"name": "calibrated_ensemble"},
    ],
    ids=lambda block: block["name"],
)
def test_network_is_that_of_the_recipe_s_variant(
    make_run: MakeRun, variant: dict[str, Any]
) -> None:
    run = make_run(0, {19: 3}, variant=variant)
    kept = load_file(run.folder / "checkpoints" / "epoch-0019.safetensors")
    network = run.network(19)
    assert {name for name, _ in network.named_parameters()} == kept.keys()
    for name, parameter in network.named_parameters():
        np.testing.assert_array_equal(parameter.detach().numpy(), kept[name])
    assert not any(module.training for module in network.modules())


@pytest.mark.parametrize("content", [None, b"", b"half a checkpoint"])
def test_missing_or_broken_checkpoint_is_named(make_run: MakeRun, content: bytes | None) -> None:
    run = make_run(0, {19: 3})
    file = run.folder / "checkpoints" / "epoch-0019.safetensors"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CardiouqError, match="delete") as caught:
        run.network(19)
    assert str(file) in str(caught.value)
