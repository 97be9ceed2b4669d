"""The first minutes on a GPU: whether training is right there, the same twice, and how fast.

    PYTHONPATH=src python benchmarks/gpu_check.py --out gpu-check

docs/gpu.md says what has to be installed. With `--arrays FILE.npz` a shortened zhao2022 is trained
on scans that travel in that file; all else is done on phantoms. `--tiny` does everything on the CPU
in a minute and a half, to try the script. `--only TEXT` does the parts whose names hold the text.

A part that fails does not stop the others. `results.json` and `results.md` in the output folder say
what was found, on which machine; `kernels-*.txt` what the device spends a training step on.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from cardiouq.data.cases import make_case_table
from cardiouq.data.phantom.generate import generate
from cardiouq.data.plan import Plan
from cardiouq.data.preprocessing import preprocess_case
from cardiouq.data.readers.found import DataFolder
from cardiouq.device.choose import choose_device, device_name, make_deterministic
from cardiouq.device.environment import COMPILE_VARIABLE, DEVICE_VARIABLE
from cardiouq.methods.base import Member
from cardiouq.prediction.predict import predict
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import HeldOut, RunOnDisk
from cardiouq.progress.estimates import plan_of
from cardiouq.provenance.record import code_hash, git_version, packages, repository
from cardiouq.study.study import Study
from cardiouq.training import train as loop
from cardiouq.training import trajectory
from cardiouq.training.run import Run
from cardiouq.training.train import Setup, set_up, train, train_epoch
from cardiouq.training.validation import validate

CONFIG = repository() / "config"
LOCAL = {"acdc_root": "", "mnms_root": "", "ukbb_root": "", "device": "auto"}
FINGERPRINT = "0123456789ab"
CPU = torch.device("cpu")
SMALLEST = {"spacing": [6.0, 6.0], "patch_size": [32, 32], "base_features": 4, "max_stages": 4}
PAPER_PLAN = Plan(
    spacing=(1.4, 1.4),  # of which a slice of the phantom is as large as one of ACDC
    patch_size=(256, 224),
    batch_size=20,
    n_stages=7,
    features_per_stage=(32, 64, 128, 256, 512, 512, 512),
    kernel_sizes=((3, 3),) * 7,
    strides=((1, 1), *((2, 2),) * 5, (2, 1)),
)
"""What the nnU-Net of the paper's time makes of ACDC."""
FLOAT32_ERROR, BF16_ERROR = 0.02, 0.2
"""Largest difference of a gradient, relative to its norm; in float32 a few activations come to the
other side of their kink."""

Found = dict[str, Any]


@dataclass(frozen=True, eq=False)  # hashed by identity, for `cache`
class Check:
    """What the parts work with."""

    device: torch.device
    out: Path
    work: Path
    arrays: Path | None
    is_tiny: bool

    @property
    def sizes(self) -> SimpleNamespace:
        """How much is computed: little with `--tiny`."""
        if self.is_tiny:
            return SimpleNamespace(steps=2, product=512, epochs=2, epoch_steps=2, validation=1)
        return SimpleNamespace(steps=50, product=8192, epochs=12, epoch_steps=250, validation=50)

    @cache  # noqa: B019  a process makes one
    def demo(self) -> Study:
        """The demo study, cut to a few steps for each run."""
        text = (CONFIG / "studies" / "demo.yaml").read_text(encoding="utf-8")
        settings = json.loads(json.dumps(yaml.safe_load(text)))  # blocks of an alias are one object
        for recipe in settings["recipes"].values():
            recipe["iterations_per_epoch"] = 2
            cycles = recipe["schedule"].get("cycles")
            recipe["schedule"] |= {"epochs": 3 * cycles, "gamma": 0.3} if cycles else {"epochs": 3}
        settings["recipes"]["biased"]["branch"]["at"] = 1 / 3
        for method in settings["methods"].values():
            method |= {"checkpoints": 2} if "checkpoints" in method else {}
        if self.is_tiny:
            settings["plan"] |= SMALLEST
        file = self.work / "demo.yaml"
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return Study(str(file), LOCAL, CONFIG)

    @cache  # noqa: B019
    def plan(self) -> Plan:
        """The plan of the demo's runs."""
        return plan_of(self.demo(), "")

    @cache  # noqa: B019
    def phantoms(self) -> list[Any]:
        """Cases of four phantoms, two of each; those of the last are for validation."""
        generate(self.work / "scans", acdc_subjects=4, mnms_subjects_per_vendor=0, seed=2022)
        table = make_case_table({"phantom": DataFolder("acdc", self.work / "scans" / "acdc")})
        return list(table.itertuples())

    @cache  # noqa: B019
    def phantom_arrays(self, plan: Plan) -> Path:
        """Folder of the phantoms, preprocessed by a plan."""
        folder = self.work / f"arrays-{plan.patch_size[0]}"
        folder.mkdir()
        for case in self.phantoms():
            preprocess_case(case, plan, folder, with_label=True)
        return folder

    def run(self, recipe: str, member: Member) -> Run:
        """A run of the demo; the one that it branches from is trained first."""
        settings = json.loads(self.demo().run_settings(recipe, member))
        if base := self.demo().base_run(recipe, member):
            self.finished(*base)
            settings["base"] = str(self.work / settings["base"])
        names = [case.case for case in self.phantoms()]
        return Run(
            **settings | {"member": member},
            plan=self.plan(),
            arrays=self.phantom_arrays(self.plan()),
            train_cases=tuple(names[:-2]),
            validation_cases=tuple(names[-2:]),
            fingerprint=FINGERPRINT,
        )

    def finished(self, recipe: str, member: Member) -> Path:
        """Folder of a run of the demo, which is trained if it is not yet."""
        folder = self.work / self.demo().run_folder(recipe, member)
        train(self.run(recipe, member), folder, self.device)
        return folder

    def paper_run(self, recipe: str, arrays: Path, **changed: Any) -> Run:
        """A run of zhao2022 on the cases of a folder, the last fifth of which is for validation."""
        plan = self.plan() if self.is_tiny else PAPER_PLAN
        written = json.loads(json.dumps(zhao2022().written["recipes"][recipe]))
        written |= changed | ({"batch_size": 4} if self.is_tiny else {})
        names = sorted(path.name.removesuffix("_label.npy") for path in arrays.glob("*_label.npy"))
        first_held_out = 2 * (len(names) * 4 // 10)  # both phases of a subject
        return Run(
            recipe_name=recipe,
            recipe=written,
            member=Member(),
            seed=2022,
            keep_epochs=(),
            branch_epochs=(),
            plan=plan,
            arrays=arrays,
            train_cases=tuple(names[:first_held_out]),
            validation_cases=tuple(names[first_held_out:]),
            fingerprint=FINGERPRINT,
        )


@cache
def zhao2022() -> Study:
    """The paper's study."""
    return Study("zhao2022", LOCAL, CONFIG)


def compiling(compiled: bool) -> Any:
    """Context in which trainings are compiled, or none is."""
    return mock.patch.dict(os.environ, {COMPILE_VARIABLE: "always" if compiled else "never"})


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def loss_and_gradient(check: Check, recipe: str, *, compiled: bool) -> Found:
    """The loss and gradient of held-out patches beside the CPU's in float32."""
    run = check.run(recipe, check.demo().members(recipe)[0])

    def of(device: torch.device, bf16: bool) -> tuple[float, Tensor]:
        with mock.patch.object(loop, "trains_in_bf16", lambda _: bf16), compiling(False):
            setup = set_up(run, device)
        loss = setup.loss
        if compiled and device == check.device:
            loss = torch.compile(loss, dynamic=False)
        value = loss(*setup.held_out[0])
        value.backward()
        weights = setup.training.network.parameters()
        return value.item(), torch.cat(
            [w.grad.flatten().cpu() for w in weights if w.grad is not None]
        )

    expected, expected_gradient = of(CPU, bf16=False)
    found: Found = {"CPU": expected}
    for precision, bf16, limit in (("float32", False, FLOAT32_ERROR), ("bf16", True, BF16_ERROR)):
        value, gradient = of(check.device, bf16)
        error = ((gradient - expected_gradient).norm() / expected_gradient.norm()).item()
        found |= {precision: value, f"{precision} gradient": error}
        assert abs(value - expected) < limit * abs(expected) / 10, found
        assert error < limit, found
    return found


class Interrupted(BaseException):
    """Stands for a signal."""


def train_and_interrupt(run: Run, output: Path, device: torch.device) -> None:
    """Train a run that is interrupted after its second epoch, and goes on."""
    done: list[Any] = []

    def validate_once(*arguments: Any) -> Any:
        if len(done) == 1:
            raise Interrupted
        done.append(validate(*arguments))
        return done[-1]

    with (
        mock.patch.object(trajectory, "SECONDS_BETWEEN_STATES", -1),
        mock.patch.object(loop, "validate", validate_once),
    ):
        try:
            train(run, output, device)
        except Interrupted:
            pass
    assert len(done) == 1, "was not interrupted"
    train(run, output, device)


def numbers_in(folder: Path) -> dict[str, Any]:
    """All weights of a run, and its history without the times."""
    files = [*folder.rglob("*.safetensors"), *folder.rglob("*.npy")]
    history = (folder / "history.csv").read_text(encoding="utf-8").splitlines()
    return {str(file.relative_to(folder)): file.read_bytes() for file in files} | {
        "history.csv": [row.rsplit(",", 1)[0] for row in history]
    }


def same_bits(check: Check, recipe: str, *, compiled: bool) -> Found:
    """A recipe trained twice, and once interrupted, ends with the same bits."""
    run = check.run(recipe, check.demo().members(recipe)[0])
    folder = check.work / "same-bits" / f"{recipe}-{compiled}"
    with compiling(compiled):
        train(run, folder / "first", check.device)
        train(run, folder / "again", check.device)
        train_and_interrupt(run, folder / "interrupted", check.device)
    first, *others = (numbers_in(folder / name) for name in ("first", "again", "interrupted"))
    for name, other in zip(("again", "interrupted"), others, strict=True):
        differing = [
            file for file in first.keys() | other.keys() if first.get(file) != other.get(file)
        ]
        assert not differing, f"{name}: {', '.join(sorted(differing))} differ"
    return {"files": len(first)}


def prediction(check: Check, method: str) -> Found:
    """A method's probabilities beside the CPU's, of the same weights.

    Random numbers of a GPU are others than the CPU's; two seeds on the CPU say how far a method's
    draws may lie apart.
    """
    study = check.demo()
    recipe, members = study.recipe_of(method), study.method_members(method)
    folders = [check.finished(recipe, member) for member in members]
    arrays = check.phantom_arrays(check.plan())
    cases = check.phantoms()

    def predicted(device: torch.device, seed: int) -> Any:
        predictor = Predictor(check.plan(), 0.25, device)
        held_out = HeldOut([case.case for case in cases[-2:]], arrays, predictor)
        of_study = study.written["recipes"][recipe]
        runs = [
            RunOnDisk(folder, of_study, m, check.plan(), FINGERPRINT, device, held_out, lambda: "")
            for folder, m in zip(folders, members, strict=True)
        ]
        output = check.work / "predicted" / f"{method}-{device.type}-{seed}"
        schedule, test_sets = study.schedule(recipe), {"phantom": cases[:1]}
        predict(study.methods[method], runs, schedule, test_sets, [arrays], predictor, seed, output)
        return np.load(output / "phantom" / f"{cases[0].case}_probabilities.npy").astype(float)

    expected = predicted(CPU, 1)
    difference = float(np.abs(predicted(check.device, 1) - expected).max())
    apart = float(np.abs(predicted(CPU, 2) - expected).max())
    assert difference < 0.005 + 2 * apart, (
        f"{difference:.4f} from the CPU's, whose draws: {apart:.4f}"
    )
    return {"largest difference": difference, "between draws": apart}


def of_steps(setup: Setup, steps: int) -> Setup:
    """The setup with epochs of so many steps."""
    recipe = {**setup.run.recipe, "iterations_per_epoch": steps}
    return setup._replace(run=replace(setup.run, recipe=recipe))


def milliseconds_by_phase(setup: Setup, device: torch.device) -> dict[str, float]:
    """Median time of each phase of a step, waiting for the device after each."""
    spent: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **options)
            wait_for(device)
            spent[name].append(1000 * (time.perf_counter() - start))
            return result

        return run

    optimiser = SimpleNamespace(
        zero_grad=setup.optimiser.zero_grad, step=timed("optimiser", setup.optimiser.step)
    )
    watched = setup._replace(
        patches=SimpleNamespace(sample_batch=timed("sampling", setup.patches.sample_batch)),
        augmentation=timed("augmentation", setup.augmentation),
        loss=timed("forward and loss", setup.loss),
        optimiser=optimiser,
    )
    with (
        mock.patch.object(Tensor, "backward", timed("backward", Tensor.backward)),
        mock.patch.object(nn.utils, "clip_grad_norm_", timed("clip", nn.utils.clip_grad_norm_)),
    ):
        train_epoch(watched, 1, lambda: None)
    return {f"{name}, ms": float(np.median(times)) for name, times in spent.items()}


def waits_in(function: Callable[[], Any]) -> list[str]:
    """Where the host waits for the GPU while a function runs, as far as PyTorch sees it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            function()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    found = [w for w in caught if "synchronizing CUDA operation" in str(w.message)]
    return [f"{Path(w.filename).name}:{w.lineno}" for w in found]


def kernels_of(setup: Setup, device: torch.device, file: Path) -> int:
    """How many kernels and copies the device is given in an epoch; the file says which."""
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiled:
        train_epoch(setup, 2, lambda: None)
        wait_for(device)
    events = profiled.key_averages()
    order = f"self_{device.type}_time_total"
    file.write_text(events.table(sort_by=order, row_limit=100, max_name_column_width=100))
    return sum(event.count for event in events if event.device_type.name.lower() == device.type)


def flops_per_second(device: torch.device, size: int) -> float:
    """What the product of two large matrices reaches in bf16, which stands for the peak."""
    matrix = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    repeats = 20
    for count in (3, repeats):  # the first ones are slower
        wait_for(device)
        start = time.perf_counter()
        for _ in range(count):
            matrix @ matrix
        wait_for(device)
    return 2 * size**3 * repeats / (time.perf_counter() - start)


def speed(check: Check, *, compiled: bool) -> Found:
    """The paper's training step, from the program's own loop, and what zhao2022 takes by it."""
    device, sizes = check.device, check.sizes
    run = check.paper_run(
        "polynomial",
        check.phantom_arrays(check.plan() if check.is_tiny else PAPER_PLAN),
        validation_batches=sizes.validation,
    )
    with compiling(compiled):
        setup = set_up(run, device)
    start = time.perf_counter()
    train_epoch(of_steps(setup, 3), 0, lambda: None)
    wait_for(device)
    found: Found = {"first 3 steps, s": time.perf_counter() - start}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    train_epoch(of_steps(setup, sizes.steps), 1, lambda: None)
    wait_for(device)
    step = (time.perf_counter() - start) / sizes.steps
    found["step, ms"] = 1000 * step
    found |= milliseconds_by_phase(of_steps(setup, sizes.steps), device)
    if device.type == "cuda":
        found["memory, GiB"] = torch.cuda.max_memory_allocated() / 2**30
        short, long = (
            waits_in(partial(train_epoch, of_steps(setup, n), 1, lambda: None)) for n in (1, 3)
        )
        found |= {"waits in a step": (len(long) - len(short)) / 2, "where": sorted(set(long))}
    kernels = check.out / f"kernels-{'compiled' if compiled else 'eager'}.txt"
    found["kernels in a step"] = (
        kernels_of(of_steps(setup, sizes.steps), device, kernels) / sizes.steps
    )
    found |= share_of_peak(check, run, step)
    start = time.perf_counter()
    validate(setup.variant, setup.training, setup.held_out)
    found["validation, s"] = time.perf_counter() - start
    found["zhao2022, hours of training"] = hours_of_zhao2022(step, found["validation, s"])
    return found


def share_of_peak(check: Check, run: Run, step: float) -> Found:
    """What of the device's peak a step of so many seconds reaches."""
    with compiling(False):
        setup = set_up(run, check.device)
    with FlopCounterMode(display=False) as counter:
        train_epoch(of_steps(setup, 1), 0, lambda: None)
    peak, flops = flops_per_second(check.device, check.sizes.product), counter.get_total_flops()
    return {
        "step, TFLOP": flops / 1e12,
        "product of matrices, TFLOP/s": peak / 1e12,
        "share of it": flops / step / peak,
    }


def hours_of_zhao2022(step: float, validation: float) -> float:
    """Hours of all trainings of zhao2022, one after the other, from seconds of each part."""
    study = zhao2022()
    return (
        sum(
            len(study.members(name))
            * study.own_epochs(name)
            * (recipe["iterations_per_epoch"] * step + validation)
            for name, recipe in study["recipes"].items()
        )
        / 3600
    )


def shortened(check: Check, recipe: str) -> Found:
    """A run of zhao2022 with few epochs, on the scans that came along."""
    sizes, arrays = check.sizes, check.work / "travelled"
    if not arrays.is_dir():
        assert check.arrays is not None
        arrays.mkdir()
        for name, array in np.load(check.arrays).items():
            np.save(arrays / f"{name}.npy", array)
    schedule = zhao2022().written["recipes"][recipe]["schedule"] | {"epochs": sizes.epochs}
    run = check.paper_run(
        recipe,
        arrays,
        schedule=schedule,
        iterations_per_epoch=sizes.epoch_steps,
        validation_batches=sizes.validation,
    )
    output = check.out / f"run-{recipe}"
    train(run, output, check.device)
    header, *_, last = (output / "history.csv").read_text(encoding="utf-8").splitlines()
    return dict(zip(header.split(","), map(float, last.split(",")), strict=True))


def parts_of(check: Check) -> Iterator[tuple[str, Callable[[], Found]]]:
    """Name and function of every part, those first that need the least to work."""
    recipes = list(check.demo()["recipes"])
    ways = {False: "eager", True: "compiled"}
    # whose losses draw nothing, so that they are the CPU's
    for recipe in ("polynomial", "layer_ensemble"):
        yield (
            f"gradient: {recipe}, eager",
            partial(loss_and_gradient, check, recipe, compiled=False),
        )
    for recipe in recipes:
        yield f"same bits: {recipe}, eager", partial(same_bits, check, recipe, compiled=False)
    for method in check.demo().methods:
        yield f"prediction: {method}", partial(prediction, check, method)
    for compiled, way in ways.items():
        yield f"speed: paper's step, {way}", partial(speed, check, compiled=compiled)
    yield (
        "gradient: polynomial, compiled",
        partial(loss_and_gradient, check, "polynomial", compiled=True),
    )
    for recipe in recipes[:1] if check.is_tiny else recipes:
        yield f"same bits: {recipe}, compiled", partial(same_bits, check, recipe, compiled=True)
    for recipe in ("polynomial", "cyclical") if check.arrays else ():
        yield f"zhao2022, shortened: {recipe}", partial(shortened, check, recipe)


def outcome(name: str, part: Callable[[], Found]) -> dict[str, Any]:
    """What a part found, whether it passed and how long it took."""
    start = time.monotonic()
    try:
        result: dict[str, Any] = {"part": name, "passed": True, "found": part()}
    except Exception as error:
        traceback.print_exc()
        said = str(error).strip().splitlines() or [""]
        failure = {"error": f"{type(error).__name__}: {said[0]}"}
        result = {"part": name, "passed": False, "found": failure}
    result["seconds"] = round(time.monotonic() - start, 1)
    print(row_of(result), flush=True)
    return result


def row_of(result: dict[str, Any]) -> str:
    """A row of the Markdown table."""
    values = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in result["found"].items()
    ]
    verdict = "PASS" if result["passed"] else "**FAIL**"
    return f"| {verdict} | {result['part']} | {result['seconds']} | {'; '.join(values)} |"


def machine(device: torch.device) -> dict[str, Any]:
    """What the results were found on."""
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "device": device_name(device),
        "code": f"{git_version(repository())} {code_hash(repository())}",
        **{name: packages()[name] for name in ("python", "torch", "monai", "numpy")},
    }
    if device.type == "cuda":
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(query, capture_output=True, encoding="utf-8", check=False).stdout
        found |= {
            "driver": driver.split("\n")[0],
            "CUDA": torch.version.cuda,
            "cuDNN": torch.backends.cudnn.version(),
            "memory": f"{torch.cuda.get_device_properties(device).total_memory / 2**30:.0f} GiB",
        }
    return found


def write_results(out: Path, of_machine: dict[str, Any], results: list[dict[str, Any]]) -> None:
    """Write `results.json` and `results.md`; after each part, so that a lost machine loses one."""
    content = {"machine": of_machine, "parts": results}
    (out / "results.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    lines = [
        "# The first minutes on a GPU",
        "",
        *(f"- {name}: {value}" for name, value in of_machine.items()),
        "",
        "| | part | s | found |",
        "|---|---|---|---|",
        *map(row_of, results),
    ]
    (out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-check"))
    parser.add_argument(
        "--arrays", type=Path, help="preprocessed scans of ACDC, as docs/gpu.md says"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="all of it on the CPU, to try the script"
    )
    parser.add_argument("--only", default="", help="parts whose names hold this text")
    options = parser.parse_args()
    os.environ[DEVICE_VARIABLE] = "cpu" if options.tiny else "cuda"
    if options.tiny:
        torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        make_deterministic()
        check = Check(choose_device(), options.out, Path(work), options.arrays, options.tiny)
        found_on = machine(check.device)
        results: list[dict[str, Any]] = []
        for name, part in parts_of(check):
            if options.only in name:
                results.append(outcome(name, part))
                write_results(options.out, found_on, results)
    print((options.out / "results.md").read_text(encoding="utf-8"))
    failures = [result["part"] for result in results if not result["passed"]]
    sys.exit(f"failed: {', '.join(failures)}" if failures else 0)


if __name__ == "__main__":
    main()
