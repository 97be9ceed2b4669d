"""Methods compared with one another through everything that a prediction does."""

import json
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat
from multiprocessing.synchronize import Event
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from cardiouq.data.plan import Plan
from cardiouq.data.readers.scans import load_prediction
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import visible
from cardiouq.methods import build_method
from cardiouq.methods.base import BaseMethod, Draw, Member, Sample, folds_of
from cardiouq.prediction import predict as module
from cardiouq.prediction.predict import predict
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.predictor import probabilities as probabilities_of
from cardiouq.prediction.runs import RunOnDisk
from cardiouq.prediction.sampler import RunSampler, images_in
from cardiouq.recipes.schedule import CyclicalSchedule, PolynomialSchedule

MakeRun = Callable[..., RunOnDisk]
MakeSampler = Callable[..., RunSampler]
Predict = Callable[..., Path]
CYCLICAL = CyclicalSchedule(
    20, cycles=2, gamma=0.5, alpha_0=0.01, alpha_r=0.1, epsilon=0.9, denominator="T"
)
LAST = PolynomialSchedule(epochs=20, alpha_0=0.01, epsilon=0.9)
CPU = torch.device("cpu")


@pytest.fixture
def sampler(plan: Plan, arrays: Path) -> MakeSampler:
    """A method with runs of it."""

    def make(method: BaseMethod, runs: Sequence[RunOnDisk], schedule: Any = LAST) -> RunSampler:
        return RunSampler(method, runs, schedule, Predictor(plan, 0.25, CPU), images_in([arrays]))

    return make


@pytest.fixture
def predicted(sampler: MakeSampler, cases: list[Any], tmp_path: Path) -> Predict:
    """Folder of the predictions of a method's block."""

    def run(
        block: dict[str, Any],
        runs: Sequence[RunOnDisk],
        schedule: Any = LAST,
        seed: int = 1,
        name: str = "out",
    ) -> Path:
        output = tmp_path / name
        test_sets = {"one": cases, "two": cases[:1]}
        predict(sampler(build_method(block), runs, schedule), test_sets, seed, output)
        return output

    return run


def on_grid(rows: int, columns: int) -> Any:
    """A case of so many pixels of the plan's size."""
    return SimpleNamespace(rows=rows, columns=columns, spacing_y=1.5, spacing_x=1.5)


def probabilities(folder: Path, case: str = "a") -> Any:
    return np.load(folder / "one" / f"{case}_probabilities.npy")


def test_every_test_set_holds_its_cases_on_their_own_grid(
    predicted: Predict, make_run: MakeRun
) -> None:
    folder = predicted({"method": "single"}, [make_run(0, {19: 0})])
    names = {p.name for p in visible(folder.iterdir())}
    assert names == {"one", "two", "activations.csv", "samples.csv", "fitted.json", "machine.json"}
    cases = {p.name.split("_")[0] for p in (folder / "one").glob("*_*")}
    assert cases == {"a", "b"}
    assert {p.name.split("_")[0] for p in (folder / "two").glob("*_*")} == {"a"}
    assert probabilities(folder).shape == (4, 4, 50, 44)


def test_temperature_one_is_vanilla_exactly(predicted: Predict, make_run: MakeRun) -> None:
    run = make_run(0, {19: 0})
    vanilla = predicted({"method": "single"}, [run], name="vanilla")
    scaled = predicted({"method": "single", "temperature": 1.0}, [run], name="scaled")
    for path in (p for p in vanilla.rglob("*") if p.is_file() and p.suffix in (".npy", ".json")):
        assert path.read_bytes() == (scaled / path.relative_to(vanilla)).read_bytes()
    tables = [
        pd.read_csv(f / "samples.csv").drop(columns="processor_seconds") for f in (vanilla, scaled)
    ]
    pd.testing.assert_frame_equal(*tables)


def logits_of(temperature: float, output: torch.Tensor) -> Any:
    """What Temp. Scaling makes of a network's output."""
    method = build_method({"method": "single", "temperature": temperature})
    run = SimpleNamespace(member=Member(), network=lambda epoch: None)
    [draw] = method.draws([run], LAST, method.fit([run], LAST))
    return draw.logits(output)


def test_temperature_divides_the_logits(plan: Plan, arrays: Path, make_run: MakeRun) -> None:
    network, predictor = make_run(0, {19: 0}).network(19), Predictor(plan, 0.25, CPU)
    image = np.load(arrays / "a_image.npy")
    output = predictor.output(network, image)
    plain, scaled = (
        probabilities_of(logits, on_grid(40, 40), plan)
        for temperature in (1.0, 1.5)
        for logits in logits_of(temperature, output)
    )
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
    schedule = CYCLICAL
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
    outputs = [predictor.output(run.network(19), image) for run in runs]
    stack = [probabilities_of(output, on_grid(50, 44), plan) for output in outputs]
    np.testing.assert_allclose(probabilities(folder, "b"), np.mean(stack, axis=0), atol=5e-4)
    labels = load_prediction(folder / "one" / "b_samples.nii.gz")
    np.testing.assert_array_equal(labels, np.argmax(stack, axis=1))


def test_mc_dropout_passes_differ_and_are_reproducible(
    predicted: Predict, make_run: MakeRun
) -> None:
    run = make_run(0, {19: 0}, dropout=0.5)
    block = {"method": "mc_dropout", "passes": 4}
    first, again = (predicted(block, [run], name=name) for name in ("first", "again"))
    other = predicted(block, [run], seed=2, name="other")
    passes = load_prediction(first / "one" / "a_samples.nii.gz")
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
    seconds = table.pop("processor_seconds")
    assert table.to_dict("list") == {"sample": [0, 1], "member": [0, 1], "epoch": [19, 19]}
    assert (seconds > 0).all()


def test_samples_table_spells_members_of_folds(predicted: Predict, make_run: MakeRun) -> None:
    runs = [make_run(0, {19: 0}), make_run(1, {19: 1})]
    for run, member in zip(runs, folds_of(2), strict=True):
        run.member = member
    folder = predicted({"method": "cv_ensemble", "folds": 2}, runs)
    assert pd.read_csv(folder / "samples.csv")["member"].tolist() == [
        "0-fold-0-of-2",
        "0-fold-1-of-2",
    ]


def test_processor_time_of_one_draw_are_shared_by_its_samples(
    predicted: Predict, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 112.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(process_time=lambda: next(clock)))
    folder = predicted({"method": "mc_dropout", "passes": 3}, [make_run(0, {19: 0}, dropout=0.5)])
    table = pd.read_csv(folder / "samples.csv")
    assert table["processor_seconds"].tolist() == [4.0] * 3
    assert table["sample"].tolist() == [0, 1, 2]


def test_what_a_method_learnt_is_written(predicted: Predict, make_run: MakeRun) -> None:
    run, schedule = make_run(0, {9: 5, 19: 5}), CYCLICAL
    block: dict[str, Any] = {"method": "single", "temperature": 1.5}
    scaled = predicted(block, [run], name="scaled")
    assert json.loads((scaled / "fitted.json").read_text(encoding="utf-8")) == {"temperature": 1.5}
    block = {"method": "checkpoint_ensemble", "cycles": 2, "checkpoints": 1, "step": 1}
    ensemble = predicted(block, [run], schedule, name="ensemble")
    assert json.loads((ensemble / "fitted.json").read_text(encoding="utf-8")) == {"0": [9, 19]}


def test_method_s_own_distribution_is_written(
    make_run: MakeRun, sampler: MakeSampler, cases: list[Any], tmp_path: Path
) -> None:
    given: list[Any] = []

    class Doubtful(BaseMethod):
        """Says the same everywhere."""

        def fit(self, runs: Any, schedule: Any) -> Any:
            return {"of_myocardium": 0.75}

        def combine(self, mean: Any, labels: Any, fitted: Any) -> Any:
            given.append((mean, labels))
            even = np.full_like(mean, (1 - fitted["of_myocardium"]) / 3)
            even[2] = fitted["of_myocardium"]
            return even

    runs = [make_run(0, {19: 0}), make_run(1, {19: 1})]
    predict(sampler(Doubtful(), runs), {"one": cases[:1]}, 1, tmp_path / "out")
    assert (load_prediction(tmp_path / "out" / "one" / "a_segmentation.nii.gz") == 2).all()
    np.testing.assert_allclose(probabilities(tmp_path / "out")[2], 0.75)
    [(mean, labels)] = given
    assert mean.shape == (4, 4, 50, 44)
    np.testing.assert_allclose(mean.sum(0), 1, rtol=1e-5)
    assert labels.shape == (2, 4, 50, 44)
    np.testing.assert_array_equal(
        labels, load_prediction(tmp_path / "out" / "one" / "a_samples.nii.gz")
    )


class Drawn(BaseMethod):
    """A method of given draws from its runs."""

    def __init__(self, draw: Callable[[Any], Draw]) -> None:
        object.__setattr__(self, "draw", draw)

    def draws(self, runs: Any, schedule: Any, fitted: Any) -> Any:
        yield from map(self.draw, runs)


def test_sample_that_is_given_several_times_weighs_more(
    make_run: MakeRun, sampler: MakeSampler, cases: list[Any], tmp_path: Path
) -> None:
    runs = [make_run(0, {19: 0}), make_run(1, {19: 1})]

    def draw(run: Any) -> Draw:
        n = 1 + 2 * run.member.seed
        return Draw([Sample(run.member, 19)] * n, run.network(19), lambda logits: [logits] * n)

    for name, of_runs in (("first", runs[:1]), ("second", runs[1:]), ("both", runs)):
        predict(sampler(Drawn(draw), of_runs), {"one": cases[:1]}, 1, tmp_path / name)
    first, second, both = (probabilities(tmp_path / name) for name in ("first", "second", "both"))
    np.testing.assert_allclose(both, (first + 3 * second) / 4, atol=1e-3)
    assert pd.read_csv(tmp_path / "both" / "samples.csv")["member"].tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("logits", "given"),
    [(lambda output: [output], "fewer"), (lambda output: [output] * 3, "more"), (repeat, "more")],
)
def test_draw_of_other_logits_than_samples_is_refused(
    make_run: MakeRun,
    sampler: MakeSampler,
    cases: list[Any],
    tmp_path: Path,
    logits: Any,
    given: str,
) -> None:
    """Else the table of the samples and the volumes of them would tell different ones."""
    method = Drawn(lambda run: Draw([Sample(run.member, 19)] * 2, run.network(19), logits))
    runs, output = [make_run(0, {19: 0})], tmp_path / "out"
    with pytest.raises(CardiouqError) as caught:
        predict(sampler(method, runs), {"one": cases[:1]}, 1, output)
    assert str(caught.value) == (
        f"{__file__}: a Draw of 2 samples, whose `logits` give {given} tensors; expected one for "
        "each sample"
    )
    assert not (output / "samples.csv").exists()


def bayes_by_backprop(
    make_run: MakeRun, sampler: MakeSampler, output: Path, test_sets: dict[str, list[Any]]
) -> Path:
    """Three draws from a posterior that is wide, so that they differ."""
    variant = {"name": "bayes_by_backprop", "initial_sd": 0.3}
    run = make_run(0, {19: 0}, variant=variant)
    method = build_method({"method": "bayes_by_backprop", "samples": 3})
    predict(sampler(method, [run]), test_sets, 1, output)
    return output


def test_drawn_weights_do_not_depend_on_the_other_test_sets(
    make_run: MakeRun, sampler: MakeSampler, cases: list[Any], tmp_path: Path
) -> None:
    of_both, of_one, of_swapped = (
        bayes_by_backprop(make_run, sampler, tmp_path / name, test_sets)
        for name, test_sets in (
            ("both", {"one": cases[:1], "two": cases[1:]}),
            ("one", {"one": cases[:1]}),
            ("swapped", {"two": cases[1:], "one": cases[:1]}),
        )
    )
    np.testing.assert_array_equal(probabilities(of_both), probabilities(of_one))
    np.testing.assert_array_equal(probabilities(of_both), probabilities(of_swapped))
    samples, alone = (load_prediction(f / "one" / "a_samples.nii.gz") for f in (of_both, of_one))
    np.testing.assert_array_equal(samples, alone)
    assert len({labels.tobytes() for labels in samples}) == 3


def test_a_draw_of_weights_is_the_same_for_all_cases(
    make_run: MakeRun, sampler: MakeSampler, arrays: Path, cases: list[Any], tmp_path: Path
) -> None:
    np.save(tmp_path / "a_image.npy", np.load(arrays / "a_image.npy"))
    np.save(tmp_path / "b_image.npy", np.load(arrays / "a_image.npy"))  # a copy of a

    def of_copies(*of_method: Any) -> RunSampler:
        return replace(sampler(*of_method), image_of=images_in([tmp_path]))

    folder = bayes_by_backprop(make_run, of_copies, tmp_path / "out", {"one": cases})
    np.testing.assert_array_equal(probabilities(folder, "a"), probabilities(folder, "b"))


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
    assert made == [Member(0), Member(1)]


def test_slice_smaller_or_larger_than_the_patch_is_predicted(plan: Plan, make_run: MakeRun) -> None:
    network, predictor = make_run(0, {19: 0}).network(19), Predictor(plan, 0.5, CPU)
    for shape in ((20, 70), (70, 20), (9, 9)):
        image = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
        found = probabilities_of(predictor.output(network, image), on_grid(*shape), plan)
        assert found.shape == (4, 2, *shape)
        np.testing.assert_allclose(found.sum(0), np.ones((2, *shape)), rtol=1e-5, atol=1e-5)


def test_mirrored_logits_are_the_mean_over_a_slice_s_mirror_images(
    plan: Plan, make_run: MakeRun
) -> None:
    network = make_run(0, {19: 0}).network(19)
    image = np.random.default_rng(0).normal(size=(2, *plan.patch_size)).astype(np.float32)
    plain = Predictor(plan, 0.5, CPU)
    images = (
        plain.output(network, np.flip(image, axes).copy()).flip([axis + 1 for axis in axes])
        for axes in ((), (1,), (2,), (1, 2))
    )
    found = Predictor(plan, 0.5, CPU, mirrors=True).output(network, image)
    torch.testing.assert_close(found, torch.stack(list(images)).mean(0))
    assert not torch.allclose(found, plain.output(network, image), atol=1e-2)


def test_beyond_the_crop_all_is_background(plan: Plan) -> None:
    cropped = replace(plan, crop=(8, 6))
    logits = torch.randn(2, 4, 8, 6)
    found = probabilities_of(logits, on_grid(20, 16), cropped)
    assert found.shape == (4, 2, 20, 16)
    inside = np.zeros((20, 16), bool)
    inside[6:14, 5:11] = True
    np.testing.assert_array_equal(found[:, :, ~inside].sum(0), 1)
    np.testing.assert_array_equal(found[0][:, ~inside], 1)
    expected = logits.softmax(1).transpose(0, 1).numpy()
    np.testing.assert_array_equal(found[:, :, 6:14, 5:11], expected)


def test_a_crop_keeps_what_it_shows_in_its_place(plan: Plan) -> None:
    """Of a whole slice and of its centre, the same voxels have the same probabilities."""
    logits = torch.randn(2, 4, 20, 16)
    whole = probabilities_of(logits, on_grid(20, 16), plan)
    cropped = replace(plan, crop=(8, 6))
    of_centre = probabilities_of(logits[:, :, 6:14, 5:11], on_grid(20, 16), cropped)
    np.testing.assert_array_equal(of_centre[:, :, 6:14, 5:11], whole[:, :, 6:14, 5:11])


Stop = tuple[Event, Event]
"""What a process says before its first sample, and what it waits for."""


def predict_in_steps(stop: Stop, **arguments: Any) -> None:
    reached, may_go_on = stop
    original = module._seeded

    def seeded(*drawn: Any) -> Any:
        reached.set()
        assert may_go_on.wait(120)
        yield from original(*drawn)

    module._seeded = seeded
    predict(**arguments)


@pytest.mark.parametrize("killed", [False, True])
def test_two_predictions_of_a_method_follow_one_another(
    predicted: Predict,
    make_run: MakeRun,
    sampler: MakeSampler,
    cases: list[Any],
    tmp_path: Path,
    killed: bool,
) -> None:
    """The second leaves alone what the first has, and takes its place if that is killed."""
    block, runs = {"method": "mc_dropout", "passes": 2}, [make_run(0, {19: 0}, dropout=0.5)]
    expected = predicted(block, runs, name="undisturbed")
    output = tmp_path / "predictions" / "out"
    arguments = {
        "sampler": sampler(build_method(block), runs),
        "test_sets": {"one": cases, "two": cases[:1]},
        "seed": 1,
        "output": output,
    }
    context = multiprocessing.get_context("fork")
    stops = [(context.Event(), context.Event()) for _ in range(2)]
    first, second = (
        context.Process(target=predict_in_steps, args=(stop,), kwargs=arguments) for stop in stops
    )
    first.start()
    assert stops[0][0].wait(120)
    unfinished = set(output.glob(".partial-*"))
    second.start()
    assert not stops[1][0].wait(3)  # it waits for the first
    assert unfinished == set(output.glob(".partial-*"))
    assert len(unfinished) == 2
    if killed:
        first.kill()
    else:
        stops[0][1].set()
    first.join()
    assert stops[1][0].wait(120)
    assert not unfinished & set(output.glob(".partial-*"))
    stops[1][1].set()
    second.join()
    assert [first.exitcode, second.exitcode] == [-9 if killed else 0, 0]
    names = {path.relative_to(expected) for path in expected.rglob("*")}
    assert names == {path.relative_to(output) for path in output.rglob("*")}
    assert [path.name for path in output.parent.iterdir()] == ["out"]
    for name in ("one/a_probabilities.npy", "one/b_samples.nii.gz", "two/a_entropy.nii.gz"):
        assert (output / name).read_bytes() == (expected / name).read_bytes()


def test_nothing_of_an_earlier_prediction_is_left_among_the_new(
    predicted: Predict, make_run: MakeRun
) -> None:
    run = make_run(0, {19: 0}, dropout=0.5)
    folder = predicted({"method": "mc_dropout", "passes": 2}, [run])
    assert (folder / "one" / "a_samples.nii.gz").is_file()
    (folder / "two" / "of_a_case_that_is_gone_probabilities.npy").touch()
    predicted({"method": "single"}, [run])
    # scoring would take them for the disagreement of samples
    assert not list(folder.rglob("*_samples.nii.gz"))
    assert not list(folder.rglob("of_a_case*"))
