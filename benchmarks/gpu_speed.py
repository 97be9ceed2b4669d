"""How fast a device trains and predicts at the sizes of `sizes.py`, and what zhao2022 takes then.

Times are of the wall. An epoch ends with the value of its loss, for which the host waits, so that
its time is the device's too.
"""

import gc
import time
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from gpu_correctness import CONFIG, LOCAL, compiling, of_steps
from sizes import PLANS, run_of, write_cases
from torch.utils.flop_counter import FlopCounterMode

from cardiouq.files.reading import read_array
from cardiouq.prediction.predictor import Predictor, probabilities
from cardiouq.prediction.sums import CaseSums
from cardiouq.progress.estimates import VOLUMES
from cardiouq.recipes.network import build_network, in_fast_layout
from cardiouq.recipes.optimiser import set_rate
from cardiouq.study.study import Study
from cardiouq.training.run import Run
from cardiouq.training.train import Setup, set_up, train_epoch
from cardiouq.training.validation import validate

FIRST_STEPS = 3


@cache
def zhao2022() -> Study:
    """The paper's study."""
    return Study("zhao2022", LOCAL, CONFIG)


def runs_of_all_sizes(folder: Path) -> dict[str, Run]:
    """Size -> a run on made-up cases, which are written."""
    for size in PLANS:
        write_cases(size, folder / size)
    return {size: run_of(size, folder / size) for size in PLANS}


class Steps:
    """Steps of training on a device, eager or compiled; each number is measured once, when it is
    asked for.

    Args:
        run: what is trained.
        device: on which.
        is_compiled: whether network and loss are compiled.
        count: how many steps a number is the mean of.
    """

    def __init__(self, run: Run, device: torch.device, *, is_compiled: bool, count: int) -> None:
        self.run, self.device = run, device
        self.is_compiled, self.count = is_compiled, count

    def measurements(self, product: int) -> Mapping[str, Callable[[], str]]:
        """Name -> what measures it; `product` is the size of matrices that show the peak."""
        found: dict[str, Callable[[], str]] = {
            f"first {FIRST_STEPS} steps, s": lambda: f"{self.first:.1f}",
            "step, ms": lambda: f"{1000 * self.seconds:.2f}",
            "loader's share": lambda: f"{1 - self.seconds_without_loader / self.seconds:.0%}",
            "TFLOP/s": lambda: f"{self.flops / self.seconds / 1e12:.3g}",
            "share of peak": lambda: (
                f"{self.flops / self.seconds / peak_flops(self.device, product):.1%}"
            ),
            "validation, ms a batch": lambda: f"{1000 * self.validation_seconds:.2f}",
        }
        if self.device.type == "cuda":
            found["memory, GiB"] = lambda: f"{self.peak_bytes / 2**30:.2f}"
        return found

    def hours(self) -> str:
        """Hours of all trainings of zhao2022, one after the other, if each step takes as long."""
        study = zhao2022()
        seconds = sum(
            len(study.members(name))
            * study.own_epochs(name)
            * (
                recipe["iterations_per_epoch"] * self.seconds
                + recipe["validation_batches"] * self.validation_seconds
            )
            for name, recipe in study["recipes"].items()
        )
        return f"{seconds / 3600:.1f}"

    @cached_property
    def setup(self) -> Setup:
        """What is trained, at the rate of the first epoch."""
        gc.collect()  # what was measured before leaves the device's memory
        with compiling(self.is_compiled):
            setup = set_up(self.run, self.device)
        set_rate(setup.optimiser, self.run.schedule, 0)
        return setup

    @cached_property
    def first(self) -> float:
        """Seconds of the first steps, which compile and fill caches."""
        return seconds_of(lambda: train_steps(self.setup, FIRST_STEPS))

    @cached_property
    def seconds(self) -> float:
        """Seconds of a whole step, later on."""
        return seconds_of_step(self.setup, self.count)

    @cached_property
    def seconds_without_loader(self) -> float:
        """Seconds of a step on a batch that is ready: nothing is sampled, nothing augmented."""
        nowhere: Any = SimpleNamespace(sample_batch=lambda *_: ())
        batch = self.setup.held_out[0]
        ready: Any = self.setup._replace(patches=nowhere, augmentation=lambda *_: batch)
        return seconds_of_step(ready, self.count)

    @cached_property
    def flops(self) -> int:
        """Floating-point operations of convolutions and products of matrices in a step."""
        with compiling(False):
            setup = set_up(self.run, self.device)
        with FlopCounterMode(display=False) as counter:
            train_steps(setup, 1)
        return counter.get_total_flops()

    @cached_property
    def peak_bytes(self) -> int:
        """The most memory of the device that is in use at a time, of everything in this process."""
        torch.cuda.reset_peak_memory_stats()
        train_steps(self.setup, FIRST_STEPS)
        return torch.cuda.max_memory_allocated()

    @cached_property
    def validation_seconds(self) -> float:
        """Seconds to validate on a batch."""
        batches = [self.setup.held_out[0]] * self.count

        def validated() -> None:
            validate(self.setup.variant, self.setup.training, batches)

        validated()
        return seconds_of(validated) / self.count


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds of the wall."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def train_steps(setup: Setup, steps: int) -> None:
    """Train for an epoch of so many steps."""
    train_epoch(of_steps(setup, steps), 0, lambda: None)


def seconds_of_step(setup: Setup, steps: int) -> float:
    """Mean seconds of a step in an epoch of so many, after one that is not timed."""
    train_steps(setup, 1)
    return seconds_of(lambda: train_steps(setup, steps)) / steps


@cache
def peak_flops(device: torch.device, size: int) -> float:
    """Floating-point operations a second of a product of two square matrices in bf16, which stands
    for the peak that a maker promises, and is reached in practice."""
    matrix = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    repeats = 20

    def multiplied() -> None:
        for _ in range(repeats):
            product = matrix @ matrix
        product[0, 0].item()  # waits for all of them

    multiplied()
    return 2 * size**3 * repeats / seconds_of(multiplied)


class Volumes:
    """Predictions of a volume on a device, by a network of a run with its first weights.

    Args:
        run: whose plan the network has, and whose first held-out case is predicted.
        device: where.
        count: how many predictions a number is the mean of.
    """

    def __init__(self, run: Run, device: torch.device, count: int) -> None:
        self.run, self.device, self.count = run, device, count

    def milliseconds(self) -> str:
        """Milliseconds of the wall for a sample of a volume."""
        return f"{1000 * self.seconds:.1f}"

    def hours(self) -> str:
        """Hours in which all methods of zhao2022 predict the usual number of volumes."""
        study = zhao2022()
        samples = sum(study.sample_count(method, self.run.plan) for method in study.methods)
        return f"{samples * VOLUMES * self.seconds / 3600:.1f}"

    @cached_property
    def seconds(self) -> float:
        """Seconds in which a volume is predicted once and added to the sums of its case."""
        run, plan = self.run, self.run.plan
        network = in_fast_layout(build_network(plan, run.settings["dropout"]), self.device).eval()
        predictor = Predictor(plan, zhao2022()["prediction"]["tile_overlap"], self.device)
        image = read_array(run.arrays / f"{run.validation_cases[0]}_image.npy")
        _, rows, columns = image.shape
        spacing = dict(zip(("spacing_y", "spacing_x"), plan.spacing, strict=True))
        case: Any = SimpleNamespace(rows=rows, columns=columns, **spacing)

        def predicted() -> None:
            sums = CaseSums(case)
            for _ in range(self.count):
                sums.add(probabilities(predictor.output(network, image), case, plan))
            sums.total.cpu()  # for which the host waits

        predicted()
        return seconds_of(predicted) / self.count
