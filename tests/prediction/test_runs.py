"""From checkpoints on disk to networks."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from cardiouq.data.plan import Plan
from cardiouq.errors import CardiouqError
from cardiouq.methods import build_method
from cardiouq.prediction.runs import RunOnDisk
from cardiouq.training.schedule import CyclicalSchedule, PolynomialSchedule

MakeRun = Callable[..., RunOnDisk]
SCHEDULE = CyclicalSchedule(epochs=20, cycles=2, gamma=0.5)


def test_swa_has_the_mean_of_the_checkpoints_weights(make_run: MakeRun) -> None:
    run = make_run(0, {15: 1, 17: 2, 19: 3})
    method = build_method({"method": "swa", "checkpoints": 3, "step": 2})
    [(_, network)] = method.samples([run], SCHEDULE)
    files = [run.folder / "checkpoints" / f"epoch-{e:04d}.safetensors" for e in (15, 17, 19)]
    checkpoints = [load_file(file) for file in files]
    for name, weight in network.named_parameters():
        by_hand = np.mean([c[name].astype(np.float64) for c in checkpoints], axis=0)
        np.testing.assert_array_equal(weight.detach().numpy(), by_hand.astype(np.float32))
    assert {name for name, _ in network.named_parameters()} == checkpoints[0].keys()


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
    [(_, network)] = method.samples([run], PolynomialSchedule(epochs=20))
    images = torch.randn(2, 1, 32, 32)
    assert torch.equal(network(images), network(images))


def test_mc_dropout_switches_on_dropout_and_nothing_else(make_run: MakeRun) -> None:
    run = make_run(0, {19: 3}, dropout=0.5)
    method = build_method({"method": "mc_dropout", "passes": 1})
    [(_, network)] = method.samples([run], PolynomialSchedule(epochs=20))
    on = {type(module).__name__ for module in network.modules() if module.training}
    assert on == {"Dropout"}
    images = torch.randn(2, 1, 32, 32)
    assert network(images).shape == (2, 4, 32, 32)  # no deep supervision
    assert not torch.equal(network(images), network(images))


def test_run_of_other_data_is_refused(make_run: MakeRun, plan: Plan) -> None:
    folder = make_run(0, {19: 3}).folder
    with pytest.raises(CardiouqError, match="other scans") as caught:
        RunOnDisk(folder, plan, "ffffffffffff", torch.device("cpu"))
    assert str(folder) in str(caught.value)


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
