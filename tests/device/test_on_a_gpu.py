"""Every recipe trains and every method predicts on a GPU, so far as a pretended one can tell."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import interpolate

from cardiouq.data.plan import Plan
from cardiouq.device import choose
from cardiouq.files.reading import read_array
from cardiouq.files.run_files import side_folder
from cardiouq.methods import layer_ensemble
from cardiouq.methods.base import Member
from cardiouq.nnunet.model import read_trained
from cardiouq.nnunet.predictor import SeenScan, prepare
from cardiouq.prediction.predict import predict
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import HeldOut, RunOnDisk
from cardiouq.prediction.sampler import RunSampler, images_in
from cardiouq.recipes import network
from cardiouq.recipes.network import Dropout
from cardiouq.recipes.optimiser import set_rate
from cardiouq.structures import IGNORED
from cardiouq.study.study import Study
from cardiouq.training import train as loop
from cardiouq.training import trajectory
from cardiouq.training.run import Run
from cardiouq.training.train import set_up, train, train_epoch
from tests.device.pretended_cuda import Notes, pretended_cuda
from tests.nnunet.trained import write
from tests.paths import CONFIG, TINY

torch.set_num_threads(1)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")  # as `choose_device` has them
FINGERPRINT = "0123456789ab"


def smallest_study() -> dict[str, Any]:
    """The tiny study with epochs of one step, two or three of them or three a cycle; and with what
    it leaves out."""
    text = TINY.read_text(encoding="utf-8")
    # through JSON, so that recipes do not share the blocks of an alias
    settings: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(text)))
    recipes, methods = settings["recipes"], settings["methods"]
    recipes["plain"] = recipes["polynomial"] | {
        "optimiser": {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 3e-5},
        "augmentation": {
            "rotation_degrees": 180,
            "scale": [0.7, 1.4],
            "mirror": True,
            "translation_pixels": 4,
        },
        "loss": "cross_entropy",
        "deep_supervision": False,
    }
    methods["plain"] = methods["vanilla"] | {"recipe": "plain"}
    methods["mirrored"] = methods["test_time_augmentation"] | {"mirror": True}
    methods["pattern"] = methods["calibrated_ensemble"] | {"calibration": "pattern"}
    for number, method in enumerate(methods.values()):
        method |= {"repeats": 1, "label": f"Method {number}"}
    for recipe in recipes.values():
        recipe["iterations_per_epoch"] = 1
        cycles = recipe["schedule"].get("cycles")
        recipe["schedule"] |= {"epochs": 3 * cycles, "gamma": 0.3} if cycles else {"epochs": 2}
    # of which the branch has two of its own
    recipes["polynomial"]["schedule"]["epochs"] = recipes["biased"]["schedule"]["epochs"] = 3
    recipes["biased"]["branch"]["at"] = 1 / 3
    return settings


SETTINGS = smallest_study()
RECIPES, METHODS = list(SETTINGS["recipes"]), list(SETTINGS["methods"])
MACHINE = {"study": "tiny", "acdc_root": "", "mnms_root": "", "ukbb_root": "", "device": "cuda"}


class Trainings:
    """The runs of the smallest study, each trained on the pretended GPU when it is asked for."""

    def __init__(self, plan: Plan, arrays: Path, folder: Path) -> None:
        (folder / "tiny.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
        self.study = Study(str(folder / "tiny.yaml"), MACHINE, CONFIG)
        self.plan, self.arrays, self.folder = plan, arrays, folder
        self.of = cache(self._train)

    def run(self, recipe: str, member: Member) -> Run:
        """What is trained, from the settings that a job is given."""
        settings = json.loads(self.study.run_settings(recipe, member))
        if base := self.study.base_run(recipe, member):
            self.of(*base)
            settings["base"] = str(self.folder / settings["base"])
        return Run(
            **settings | {"member": member},
            plan=self.plan,
            arrays=self.arrays,
            train_cases=("a", "b"),
            validation_cases=("c",),
            fingerprint=FINGERPRINT,
        )

    def first(self, recipe: str) -> Run:
        return self.run(recipe, self.study.members(recipe)[0])

    def _train(self, recipe: str, member: Member) -> Path:
        run, output = self.run(recipe, member), self.folder / self.study.run_folder(recipe, member)
        with pretended_cuda():
            train(run, output, CUDA)
        return output

    def on_disk(self, method: str, device: torch.device) -> list[RunOnDisk]:
        """The runs that a method predicts with, as a prediction opens them."""
        recipe = self.study.recipe_of(method)
        held_out = HeldOut(("c",), self.arrays, Predictor(self.plan, 0.25, device))
        return [
            RunOnDisk(
                *(self.of(recipe, member), self.study.written["recipes"][recipe], member),
                *(self.plan, FINGERPRINT, device, held_out, lambda: ""),
            )
            for member in self.study.method_members(method)
        ]


@pytest.fixture(scope="module")
def trainings(plan: Plan, arrays: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    return Trainings(replace(plan, crop=(40, 40)), arrays, tmp_path_factory.mktemp("gpu"))


@pytest.fixture(autouse=True)
def dropout_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the CPU, which has faster masks of its own, those that a GPU draws."""
    monkeypatch.setattr(Dropout, "forward", nn.Dropout.forward)


def contents(output: Path) -> dict[str, bytes]:
    """Every file of numbers in a folder; times and machines differ."""
    files = [*output.rglob("*.safetensors"), *output.rglob("*.npy")]
    return {str(file.relative_to(output)): file.read_bytes() for file in files}


class Killed(BaseException):
    """Stands for a signal."""


def killed_in_the_second_epoch(validate: Callable[..., Any]) -> Callable[..., Any]:
    done = []

    def validate_once(*arguments: Any) -> Any:
        if done:
            raise Killed
        done.append("an epoch")
        return validate(*arguments)

    return validate_once


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_trains_and_goes_on_where_it_was_interrupted(
    trainings: Trainings, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch goes on from the run that it branches from."""
    run = trainings.first(recipe)
    undisturbed = contents(trainings.of(recipe, run.member))
    assert {f"checkpoints/epoch-{epoch:04d}.safetensors" for epoch in run.keep_epochs} < {
        *undisturbed
    }
    monkeypatch.setattr(trajectory, "SECONDS_BETWEEN_STATES", -1)
    with pretended_cuda():
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(loop, "validate", killed_in_the_second_epoch(loop.validate))
            train(run, tmp_path / "run", CUDA)
        assert (side_folder(tmp_path / "run") / "resume.safetensors").is_file()
        train(run, tmp_path / "run", CUDA)
    assert contents(tmp_path / "run") == undisturbed
    [machine] = json.loads((tmp_path / "run" / "machine.json").read_text(encoding="utf-8"))
    assert (machine["device"], machine["precision"]) == ("cuda, Pretended", "bfloat16")


@pytest.mark.parametrize("recipe", ["polynomial", "biased", "stochastic_segmentation"])
def test_recipe_trains_on_labels_in_part(trainings: Trainings, recipe: str, tmp_path: Path) -> None:
    for file in trainings.arrays.glob("*.npy"):
        array = np.load(file)
        if array.dtype == np.uint8:
            array[:, :12] = IGNORED
        np.save(tmp_path / file.name, array)
    setup = set_up(replace(trainings.first(recipe), arrays=tmp_path), CPU)
    assert any(setup.patches.in_part)
    with pretended_cuda():
        train(setup.run, tmp_path / "run", CUDA)
    assert contents(tmp_path / "run")


@pytest.mark.parametrize("recipe", RECIPES)
def test_gpu_without_bf16_has_the_loss_and_gradient_of_such_a_cpu(
    trainings: Trainings, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for rounding, as the norm there changes the layout back from channels-last; it brings a
    few activations to the other side of their kink."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    run = trainings.first(recipe)

    def step(device: torch.device) -> tuple[float, torch.Tensor]:
        setup = set_up(run, device)
        set_rate(setup.optimiser, run.schedule, 0)
        loss = train_epoch(setup, 0, lambda: None)
        gradients = [weight.grad for weight in setup.training.network.parameters()]
        return loss, torch.cat([grad.cpu().flatten() for grad in gradients if grad is not None])

    loss, gradient = step(CPU)
    with pretended_cuda(bf16=False):
        found_loss, found = step(CUDA)
    assert found_loss == pytest.approx(loss, rel=1e-5)
    assert (found - gradient).norm() < 0.02 * gradient.norm()


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Cases a and b, whose own grid (4, 60, 64) of 1.2 mm reaches beyond the plan's crop."""
    scan = tmp_path_factory.mktemp("scans") / "scan.nii.gz"
    image = nib.Nifti1Image(np.zeros((64, 60, 4), np.int16), np.diag([-1.2, -1.2, 8.0, 1.0]))
    nib.save(image, scan)
    grid = {"slices": 4, "rows": 60, "columns": 64, "spacing_y": 1.2, "spacing_x": 1.2}
    return [SimpleNamespace(case=name, image=str(scan), frame=-1, **grid) for name in "ab"]


def predicted(
    trainings: Trainings, method: str, cases: list[Any], device: torch.device, output: Path
) -> tuple[Any, NDArray[np.float16]]:
    """What a method fits, and the mean probabilities of case a."""
    study = trainings.study
    sampler = RunSampler(
        study.methods[method],
        trainings.on_disk(method, device),
        study.schedule(study.recipe_of(method)),
        Predictor(trainings.plan, 0.25, device),
        images_in([trainings.arrays]),
    )
    predict(sampler, {"phantom": cases}, 2022, output)
    assert (output / "phantom" / "b_segmentation.nii.gz").is_file()
    fitted = json.loads((output / "fitted.json").read_text(encoding="utf-8"))
    return fitted, read_array(output / "phantom" / "a_probabilities.npy")


@pytest.mark.parametrize("method", METHODS)
def test_method_fits_and_predicts_as_on_a_cpu(
    trainings: Trainings,
    method: str,
    cases: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for module in (choose, network):  # bf16 has another layout there, which draws and rounds anew
        monkeypatch.setattr(module, "has_bf16", lambda _: False)
    fitted, mean = predicted(trainings, method, cases, CPU, tmp_path / "cpu")
    with pretended_cuda():
        found_fitted, found = predicted(trainings, method, cases, CUDA, tmp_path / "cuda")
    assert found_fitted.keys() == fitted.keys()
    for name, value in fitted.items():
        np.testing.assert_allclose(found_fitted[name], value, rtol=1e-3)
    assert found.shape == (4, 4, 60, 64)
    np.testing.assert_allclose(found.astype(float), mean.astype(float), atol=2e-3)


def test_network_of_nnunet_predicts_as_on_a_cpu(tmp_path: Path) -> None:
    model = read_trained(write(tmp_path / "nnUNetTrainer__nnUNetPlans__2d"))
    scan = np.random.default_rng(1).random((3, 20, 24), np.float32)

    def predicted(device: torch.device) -> torch.Tensor:
        prepared = prepare(scan, (8.0, 1.2, 1.2), model.plan)
        seen = SeenScan(prepared, model.plan, model.mirroring, (0, 3, 1), device)
        return seen.probabilities(seen.output(model.network(model.members[0], device))).cpu()

    expected = predicted(CPU)
    with pretended_cuda():
        found = predicted(CUDA)
    assert found.shape == (4, 3, 20, 24)
    torch.testing.assert_close(found, expected)


def notes_of_an_epoch(run: Run, iterations: int) -> Notes:
    """What happens while a network is trained for an epoch of so many iterations."""
    recipe = {**run.recipe, "iterations_per_epoch": iterations}
    with pretended_cuda() as notes:
        setup = set_up(replace(run, recipe=recipe), CUDA)
        notes.waits.clear()
        train_epoch(setup, 0, lambda: None)
    return notes


@pytest.mark.parametrize("recipe", RECIPES)
def test_step_of_training_waits_for_nothing(trainings: Trainings, recipe: str) -> None:
    """A longer epoch waits as often as a short one, which is at its end."""
    run = trainings.first(recipe)
    short, long = (notes_of_an_epoch(run, iterations) for iterations in (1, 3))
    assert not long.waits - short.waits


@pytest.mark.parametrize("recipe", RECIPES)
def test_step_of_training_is_deterministic(trainings: Trainings, recipe: str) -> None:
    assert not notes_of_an_epoch(trainings.first(recipe), 1).nondeterministic


def test_labels_of_a_fitted_temperature_left_on_the_host_are_found(
    trainings: Trainings, cases: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_tensor = torch.as_tensor
    monkeypatch.setattr(torch, "as_tensor", lambda data, device=None: as_tensor(data))
    with pretended_cuda(), pytest.raises(RuntimeError, match="on the same device"):
        predicted(trainings, "temperature_fitted", cases, CUDA, tmp_path / "cuda")


def test_gradient_of_bilinear_upsampling_that_comes_out_otherwise_is_found(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        layer_ensemble, "upsampled", lambda logits, size: interpolate(logits, size, mode="bilinear")
    )
    notes = notes_of_an_epoch(trainings.first("layer_ensemble"), 1)
    assert {what for what, _ in notes.nondeterministic} == {"upsample_bilinear2d_backward"}
