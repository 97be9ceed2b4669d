"""Methods compared with one another through everything that a prediction does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from cardiouq.data.plan import Plan
from cardiouq.data.scans import load_volume
from cardiouq.methods import build_method
from cardiouq.prediction.predict import Predictor, predict
from cardiouq.prediction.runs import RunOnDisk
from cardiouq.training.schedule import CyclicalSchedule, PolynomialSchedule

MakeRun = Callable[..., RunOnDisk]
Predict = Callable[..., Path]
LAST = PolynomialSchedule(epochs=20)
CPU = torch.device("cpu")


@pytest.fixture
def predicted(plan: Plan, arrays: Path, cases: list[Any], tmp_path: Path) -> Predict:
    """Folder of the predictions of a method's block."""

    def run(
        block: dict[str, Any],
        runs: Sequence[RunOnDisk],
        schedule: Any = LAST,
        seed: int = 1,
        name: str = "out",
    ) -> Path:
        output = tmp_path / name
        predict(
            method=build_method(block),
            runs=runs,
            schedule=schedule,
            test_sets={"one": cases, "two": cases[:1]},
            arrays=arrays,
            predictor=Predictor(plan, 0.25, CPU),
            seed=seed,
            output=output,
        )
        return output

    return run


def probabilities(folder: Path, case: str = "a") -> Any:
    return np.load(folder / "one" / f"{case}_probabilities.npy")


def test_every_test_set_holds_its_cases_on_their_own_grid(
    predicted: Predict, make_run: MakeRun
) -> None:
    folder = predicted({"method": "single"}, [make_run(0, {19: 0})])
    names = {p.name for p in folder.iterdir()}
    assert names == {"one", "two", "samples.csv"}
    cases = {p.name.split("_")[0] for p in (folder / "one").iterdir()}
    assert cases == {"a", "b"}
    assert {p.name.split("_")[0] for p in (folder / "two").iterdir()} == {"a"}
    assert probabilities(folder).shape == (4, 4, 50, 44)


def test_temperature_one_is_vanilla_exactly(predicted: Predict, make_run: MakeRun) -> None:
    run = make_run(0, {19: 0})
    vanilla = predicted({"method": "single"}, [run], name="vanilla")
    scaled = predicted({"method": "single", "temperature": 1.0}, [run], name="scaled")
    for path in (p for p in vanilla.rglob("*") if p.is_file() and p.suffix != ".gz"):
        assert path.read_bytes() == (scaled / path.relative_to(vanilla)).read_bytes()


def test_temperature_divides_the_logits(plan: Plan, arrays: Path, make_run: MakeRun) -> None:
    network, predictor = make_run(0, {19: 0}).network(19), Predictor(plan, 0.25, CPU)
    image = np.load(arrays / "a_image.npy")
    plain, scaled = (predictor.probabilities(network, image, t, (40, 40)) for t in (1.0, 1.5))
    by_hand = plain.double() ** (1 / 1.5)
    by_hand = by_hand / by_hand.sum(0)
    torch.testing.assert_close(scaled.double(), by_hand, atol=1e-5, rtol=0)
    assert torch.equal(scaled.argmax(0), plain.argmax(0))
    assert scaled.amax() < plain.amax()


def test_ensemble_of_identical_members_is_the_single_model(
    predicted: Predict, make_run: MakeRun
) -> None:
    runs = [make_run(0, {19: 5}), make_run(1, {19: 5})]
    ensemble = predicted({"method": "deep_ensemble", "size": 2}, runs, name="ensemble")
    single = predicted({"method": "single"}, runs[:1], name="single")
    np.testing.assert_array_equal(probabilities(ensemble), probabilities(single))


def test_ensemble_of_identical_checkpoints_is_the_single_model(
    predicted: Predict, make_run: MakeRun
) -> None:
    run = make_run(0, {9: 5, 19: 5})
    schedule = CyclicalSchedule(epochs=20, cycles=2, gamma=0.5)
    block = {"method": "checkpoint_ensemble", "cycles": 2, "checkpoints": 1, "step": 1}
    ensemble = predicted(block, [run], schedule, name="ensemble")
    single = predicted({"method": "single"}, [run], name="single")
    np.testing.assert_array_equal(probabilities(ensemble), probabilities(single))


def test_ensemble_is_the_mean_of_its_members_softmax(
    predicted: Predict, make_run: MakeRun, plan: Plan, arrays: Path
) -> None:
    runs = [make_run(member, {19: member}) for member in range(3)]
    folder = predicted({"method": "deep_ensemble", "size": 3}, runs)
    predictor, image = Predictor(plan, 0.25, CPU), np.load(arrays / "b_image.npy")
    stack = [predictor.probabilities(r.network(19), image, 1.0, (50, 44)).numpy() for r in runs]
    np.testing.assert_allclose(probabilities(folder, "b"), np.mean(stack, axis=0), atol=5e-4)
    labels = load_volume(folder / "one" / "b_samples.nii.gz", -1)
    np.testing.assert_array_equal(labels, np.argmax(stack, axis=1))


def test_mc_dropout_passes_differ_and_are_reproducible(
    predicted: Predict, make_run: MakeRun
) -> None:
    run = make_run(0, {19: 0}, dropout=0.5)
    block = {"method": "mc_dropout", "passes": 4}
    first, again = (predicted(block, [run], name=name) for name in ("first", "again"))
    other = predicted(block, [run], seed=2, name="other")
    passes = load_volume(first / "one" / "a_samples.nii.gz", -1)
    assert len({labels.tobytes() for labels in passes}) == 4
    np.testing.assert_array_equal(probabilities(first), probabilities(again))
    assert (probabilities(first) != probabilities(other)).any()


def test_mc_dropout_of_a_case_does_not_depend_on_the_others(
    predicted: Predict, make_run: MakeRun, cases: list[Any]
) -> None:
    run = make_run(0, {19: 0}, dropout=0.5)
    together = predicted({"method": "mc_dropout", "passes": 2}, [run], name="together")
    cases.reverse()
    reversed_order = predicted({"method": "mc_dropout", "passes": 2}, [run], name="reversed")
    np.testing.assert_array_equal(probabilities(together, "b"), probabilities(reversed_order, "b"))


def test_samples_table_says_whose_weights_each_sample_had(
    predicted: Predict, make_run: MakeRun
) -> None:
    runs = [make_run(0, {19: 0}), make_run(1, {19: 1})]
    folder = predicted({"method": "deep_ensemble", "size": 2}, runs)
    table = pd.read_csv(folder / "samples.csv")
    assert table.to_dict("list") == {"sample": [0, 1], "member": [0, 1], "epoch": [19, 19]}


def test_each_network_is_made_once_for_all_test_sets(
    predicted: Predict, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, made = [make_run(0, {19: 0}), make_run(1, {19: 1})], []
    original = RunOnDisk.network

    def network(self: RunOnDisk, epoch: int) -> Any:
        made.append(self.member)
        return original(self, epoch)

    monkeypatch.setattr(RunOnDisk, "network", network)
    predicted({"method": "deep_ensemble", "size": 2}, runs)
    assert made == [0, 1]


def test_slice_smaller_or_larger_than_the_patch_is_predicted(plan: Plan, make_run: MakeRun) -> None:
    network, predictor = make_run(0, {19: 0}).network(19), Predictor(plan, 0.5, CPU)
    for shape in ((20, 70), (70, 20), (9, 9)):
        image = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
        found = predictor.probabilities(network, image, 1.0, shape)
        assert found.shape == (4, 2, *shape)
        torch.testing.assert_close(found.sum(0), torch.ones(2, *shape))
