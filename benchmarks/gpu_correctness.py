"""Whether training and prediction are right on a device: the CPU's numbers, the same bits again.

A check returns what it found, and raises `Wrong` where that is not right. All of them work with the
demo study, cut to a few steps a run.
"""

import json
import math
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from cardiouq.data.cases import make_case_table
from cardiouq.data.phantom.generate import generate
from cardiouq.data.plan import Plan
from cardiouq.data.preprocessing import preprocess_case
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.readers.scans import load_prediction
from cardiouq.device import choose
from cardiouq.device.environment import COMPILE_VARIABLE
from cardiouq.files.reading import read_array
from cardiouq.files.run_files import HISTORY_FILE
from cardiouq.files.writing import atomic_folder
from cardiouq.methods.base import Member
from cardiouq.methods.calibrated_ensemble import Method as CalibratedEnsemble
from cardiouq.prediction.predict import predict
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import HeldOut, RunOnDisk
from cardiouq.prediction.sampler import RunSampler, images_in
from cardiouq.progress.estimates import plan_of
from cardiouq.provenance.record import repository
from cardiouq.recipes.network import Dropout
from cardiouq.recipes.optimiser import set_rate
from cardiouq.study.study import Study
from cardiouq.training import train as loop
from cardiouq.training import trajectory
from cardiouq.training.history import read_history
from cardiouq.training.run import Run
from cardiouq.training.train import Setup, set_up, train, train_epoch

CPU = torch.device("cpu")
CONFIG = repository() / "config"
LOCAL = {"study": "demo", "acdc_root": "", "mnms_root": "", "ukbb_root": "", "device": "auto"}
FINGERPRINT = "0123456789ab"
TINY = {"spacing": [6.0, 6.0], "patch_size": [32, 32], "base_features": 4, "max_stages": 4}
DRAWS_NOTHING = ("polynomial", "layer_ensemble")
"""Recipes whose steps draw no random numbers but for the noise in images."""
NO_TIMES = dict.fromkeys(("seconds", "processor_seconds"), 0.0)
"""Of a history's row in place of its times, in which no two trainings agree."""
LARGEST_ERRORS = {"float32": (1e-3, 0.02), "bf16": (0.02, 0.3)}
"""Relative errors of the loss and of the gradient's norm that rounding explains: it brings a label
to another pixel, and activations to the other side of their kink."""
LARGEST_SHARE, LARGEST_DIFFERENCE = 1e-3, 5e-3
"""Share of voxels that may get another label, and difference of a probability. One that is read
from votes may move by more where a vote flips, in as many voxels as may get another label."""


class Wrong(Exception):
    """What a check found is not right."""


@dataclass(frozen=True)
class Demo:
    """The demo study on phantoms, whose runs are trained on a device when they are asked for."""

    study: Study
    plan: Plan
    cases: list[Any]
    arrays: Path
    device: torch.device
    runs: Path
    """Folder of its runs and predictions."""
    is_compiled: bool = False

    def run(self, recipe: str) -> Run:
        """The first run of a recipe."""
        return self._run(recipe, self.study.members(recipe)[0])

    def trained(self, recipe: str, member: Member) -> Path:
        """Folder of a run, which is trained if it is not yet."""
        folder = self.runs / self.study.run_folder(recipe, member)
        self.train(self._run(recipe, member), folder)
        return folder

    def train(self, run: Run, folder: Path) -> None:
        """Train a run, compiled or not."""
        with compiling(self.is_compiled):
            train(run, folder, self.device)

    def _run(self, recipe: str, member: Member) -> Run:
        """A run; the one that it branches from is trained first."""
        settings = json.loads(self.study.run_settings(recipe, member))
        if base := self.study.base_run(recipe, member):
            self.trained(*base)
            settings["base"] = str(self.runs / settings["base"])
        names = [case.case for case in self.cases]
        return Run(
            **settings | {"member": member},
            plan=self.plan,
            arrays=self.arrays,
            train_cases=tuple(names[:-2]),
            validation_cases=tuple(names[-2:]),
            fingerprint=FINGERPRINT,
        )


def make_demo(folder: Path, device: torch.device, *, is_tiny: bool) -> Demo:
    """The demo study on four phantoms, two cases each; those of the last are for validation."""
    file = folder / "demo.yaml"
    file.write_text(yaml.safe_dump(short_demo(is_tiny), sort_keys=False), encoding="utf-8")
    study = Study(str(file), LOCAL, CONFIG)
    plan = plan_of(study, "no file: the plan of a usual scan")
    generate(folder / "scans", acdc_subjects=4, mnms_subjects_per_vendor=0, seed=2022)
    table = make_case_table({"phantom": DataFolder("acdc", folder / "scans" / "acdc")})
    cases = list(table.itertuples())
    with atomic_folder(folder / "arrays") as arrays:
        for case in cases:
            preprocess_case(case, plan, arrays, with_label=True)  # type: ignore[arg-type]
    return Demo(study, plan, cases, folder / "arrays", device, folder / "eager")


def short_demo(is_tiny: bool) -> dict[str, Any]:
    """The demo's settings with epochs of two steps, three of them or three a cycle."""
    text = (CONFIG / "studies" / "demo.yaml").read_text(encoding="utf-8")
    # through JSON, so that recipes do not share the blocks of an alias
    settings: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(text)))
    for recipe in settings["recipes"].values():
        recipe["iterations_per_epoch"] = 2
        cycles = recipe["schedule"].get("cycles")
        recipe["schedule"] |= {"epochs": 3 * cycles, "gamma": 0.3} if cycles else {"epochs": 3}
    settings["recipes"]["biased"]["branch"]["at"] = 1 / 3
    for method in settings["methods"].values():
        method |= {"checkpoints": 2} if "checkpoints" in method else {}
        method |= {"rank": 2} if "rank" in method else {}
    if is_tiny:
        settings["plan"] |= TINY
    return settings


@contextmanager
def compiling(is_compiled: bool) -> Iterator[None]:
    """Let trainings be compiled, or none."""
    if is_compiled:
        torch.compiler.reset()  # else PyTorch gives up after a few networks in one process
    with mock.patch.dict(os.environ, {COMPILE_VARIABLE: "always" if is_compiled else "never"}):
        yield


def trains(demo: Demo, recipe: str) -> str:
    """A recipe trains, and all of its losses are finite."""
    history = read_history(demo.trained(recipe, demo.run(recipe).member) / HISTORY_FILE)
    losses = [row[name] for row in history for name in ("train_loss", "validation_loss")]
    if not all(map(math.isfinite, losses)):
        raise Wrong(f"losses {losses}")
    return f"loss {losses[0]:.3f} to {losses[-2]:.3f}"


def agrees_with_cpu(demo: Demo, recipe: str, precision: str) -> str:
    """A step of training has the loss and the gradient of the CPU, which is not compiled there."""
    run, draws = demo.run(recipe), DrawnOnTheCpu() if not demo.is_compiled else nullcontext()
    if demo.is_compiled:  # PyTorch compiles nothing where its operations are looked at
        augmentation = {**run.recipe["augmentation"], "intensities": False}
        run = replace(run, recipe={**run.recipe, "augmentation": augmentation})
    with draws:
        with compiling(False):
            expected, expected_gradient = step(run, CPU, "float32")
        with compiling(demo.is_compiled):
            loss, gradient = step(run, demo.device, precision)
    errors = (
        abs(loss - expected) / abs(expected),
        float((gradient - expected_gradient).norm() / expected_gradient.norm()),
    )
    found = "loss {:.1e}, gradient {:.1e} from the CPU's".format(*errors)
    # not `>`, as a loss may be NaN
    if not all(map(float.__le__, errors, LARGEST_ERRORS[precision])):
        raise Wrong(found)
    return found


def step(run: Run, device: torch.device, precision: str) -> tuple[float, Tensor]:
    """Loss and gradient of the first step of a run."""
    with (
        mock.patch.object(loop, "has_bf16", lambda _: precision == "bf16"),
        mock.patch.object(Dropout, "forward", nn.Dropout.forward),  # a CPU's masks are its own
    ):
        setup = of_steps(set_up(run, device), 1)
        set_rate(setup.optimiser, run.schedule, 0)
        loss = train_epoch(setup, 0, lambda: None)
    gradients = [weight.grad for weight in setup.training.network.parameters()]
    return loss, torch.cat([each.flatten().cpu() for each in gradients if each is not None])


def of_steps(setup: Setup, steps: int) -> Setup:
    """The setup with epochs of so many steps."""
    recipe = {**setup.run.recipe, "iterations_per_epoch": steps}
    return setup._replace(run=replace(setup.run, recipe=recipe))


class DrawnOnTheCpu(TorchDispatchMode):
    """Random numbers for any device are drawn on the CPU, so that they are the same on all."""

    def __init__(self) -> None:
        super().__init__()
        self._twins: dict[torch.Generator, torch.Generator] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        device = tensors[0].device if tensors else kwargs.get("device")
        # drawn in the order of the dimensions, whatever the layout
        args_there, options = tree_map_only(
            Tensor, lambda each: each.cpu().contiguous(), (args, kwargs)
        )
        if "device" in options:
            options["device"] = CPU
        if options.get("generator"):
            options["generator"] = self._twin(options["generator"])
        drawn = func(*args_there, **options)
        if func._schema.is_mutable:
            return args[0].copy_(drawn)
        return tree_map_only(Tensor, lambda each: each.to(device), drawn)

    def _twin(self, generator: torch.Generator) -> torch.Generator:
        """The CPU's generator with the seed of another device's."""
        if generator.device == CPU:
            return generator
        seeded = torch.Generator().manual_seed(generator.initial_seed())
        return self._twins.setdefault(generator, seeded)


def same_bits(demo: Demo, recipe: str, *, interrupted: bool) -> str:
    """A recipe that is trained again, in one go or interrupted, has the same weights and losses."""
    train_again = train_and_interrupt if interrupted else Demo.train
    run, folder = demo.run(recipe), demo.runs / train_again.__name__ / recipe
    expected = contents(demo.trained(recipe, run.member))
    train_again(demo, run, folder)
    found = contents(folder)
    files = sorted({*expected, *found})
    if differing := [file for file in files if expected.get(file) != found.get(file)]:
        raise Wrong(f"others are {', '.join(differing)}")
    return f"{len(found)} files"


def contents(folder: Path) -> Mapping[str, Any]:
    """All weights of a run, and its history but for the times."""
    files = [*folder.rglob("*.safetensors"), *folder.rglob("*.npy")]
    rows = [row | NO_TIMES for row in read_history(folder / HISTORY_FILE)]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files} | {
        HISTORY_FILE: str(rows)
    }


class Interrupted(BaseException):
    """Stands for a signal."""


def train_and_interrupt(demo: Demo, run: Run, folder: Path) -> None:
    """Train a run that is interrupted in its second epoch, and goes on."""
    epochs = [loop.validate]

    def validate_once(*arguments: Any) -> Any:
        if not epochs:
            raise Interrupted
        return epochs.pop()(*arguments)

    with (
        suppress(Interrupted),
        mock.patch.object(trajectory, "SECONDS_BETWEEN_STATES", -1),
        mock.patch.object(loop, "validate", validate_once),
    ):
        demo.train(run, folder)
        raise Wrong("was not interrupted")
    demo.train(run, folder)


def waits_for_nothing(demo: Demo, recipe: str) -> str:
    """A step of training does not wait for the GPU: a longer epoch waits as often as a short one,
    which is at its end."""
    with compiling(demo.is_compiled):
        setup = set_up(demo.run(recipe), demo.device)
        _, short, long = (waits_of(of_steps(setup, steps)) for steps in (1, 1, 3))
    if in_steps := long - short:
        raise Wrong(f"waits at {', '.join(in_steps)}")
    return f"{short.total()} in an epoch"


def waits_of(setup: Setup) -> Counter[str]:
    """Line of code -> how often it waits for the GPU in an epoch, as far as PyTorch sees it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            train_epoch(setup, 0, lambda: None)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return Counter(
        f"{Path(each.filename).name}:{each.lineno}"
        for each in caught
        if "synchronizing CUDA operation" in str(each.message)
    )


def predicts_as_on_cpu(demo: Demo, method: str) -> str:
    """A method segments as it does on the CPU with the same weights and random numbers."""
    recipe = demo.study.recipe_of(method)
    folders = {member: demo.trained(recipe, member) for member in demo.study.method_members(method)}
    with DrawnOnTheCpu():
        expected_labels, expected = predicted(demo, method, folders, CPU, "cpu")
        labels, mean = predicted(demo, method, folders, demo.device, "device")
    share = float(np.mean(labels != expected_labels))
    differences = np.abs(mean - expected).max(0)
    found = f"{share:.3%} of voxels, probabilities up to {differences.max():.4f}"
    # not `>`, as a probability may be NaN
    beyond = float(np.mean(~(differences <= LARGEST_DIFFERENCE)))
    has_votes = isinstance(demo.study.methods[method], CalibratedEnsemble)
    if not (share <= LARGEST_SHARE and beyond <= (LARGEST_SHARE if has_votes else 0)):
        raise Wrong(f"others are {found}")
    return found


def predicted(
    demo: Demo, method: str, folders: Mapping[Member, Path], device: torch.device, name: str
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Segmentation and probabilities of a case, by the runs in the folders, in float32."""
    recipe = demo.study.recipe_of(method)
    predictor = Predictor(demo.plan, demo.study["prediction"]["tile_overlap"], device)
    held_out = HeldOut([case.case for case in demo.cases[-2:]], demo.arrays, predictor)
    written = demo.study.written["recipes"][recipe]
    runs = [
        RunOnDisk(*(folder, written, member, demo.plan, FINGERPRINT, device, held_out), lambda: "")
        for member, folder in folders.items()
    ]
    of_study = demo.study.methods[method], runs, demo.study.schedule(recipe)
    output, case = demo.runs / f"predicted-{name}" / method, demo.cases[0]
    # bf16 rounds where layouts differ
    with (
        mock.patch.object(choose, "has_bf16", lambda _: False),
        mock.patch.object(Dropout, "forward", nn.Dropout.forward),  # a CPU's masks are its own
    ):
        predict(
            RunSampler(*of_study, predictor, images_in([demo.arrays])),
            test_sets={"phantom": [case]},
            seed=2022,
            output=output,
        )
    labels = load_prediction(output / "phantom" / f"{case.case}_segmentation.nii.gz")
    mean = read_array(output / "phantom" / f"{case.case}_probabilities.npy")
    return labels, mean.astype(float)
