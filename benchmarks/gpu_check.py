"""The first minutes on a GPU: whether CardioUQ is right there, and how fast.

    PYTHONPATH=src python benchmarks/gpu_check.py

docs/gpu.md says what has to be installed, and what the numbers mean. What fails does not stop the
rest; the exit status is 1 then. The page is written after every check, so that a machine that is
lost costs one.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gpu_correctness as correctness
import torch
from gpu_correctness import DRAWS_NOTHING, LARGEST_ERRORS, Demo, make_demo
from gpu_speed import Steps, Volumes, runs_of_all_sizes
from sizes import run_of, write_cases
from tabulate import tabulate

from cardiouq.device.choose import choose_device, device_name, make_deterministic
from cardiouq.device.environment import DEVICE_VARIABLE
from cardiouq.provenance.record import code_hash, computing_packages, git_version, repository
from cardiouq.training.run import Run

NO_GPU = """\
**This was the CPU and no GPU (`--tiny`): it shows that the script runs.** It does not show that
CUDA computes what the CPU does, the same bits twice and without the host waiting for it, nor how
much memory it takes: all was held against the CPU itself. Times are of a network with a few
thousand weights, and the hours of zhao2022 follow from them."""


class Part(NamedTuple):
    """A cell of the page, and what fills it."""

    table: str
    row: str
    column: str
    work: Callable[[], str]

    def __str__(self) -> str:
        return f"{self.table}: {self.row}: {self.column}"


class Page:
    """What was found, as a page in Markdown.

    Attributes:
        failures: what failed, and how.
        is_whole: whether all was done that the command asks for.
    """

    def __init__(self, command: str, device: torch.device) -> None:
        self._head = [f"# The first minutes on {device_name(device)}", "", f"    {command}", ""]
        self._head += [made_on(device), ""]
        if device.type != "cuda":
            self._head += [NO_GPU, ""]
        self.failures: list[str] = []
        self.is_whole = False
        self._tables: dict[str, dict[str, dict[str, str]]] = {}

    def fill(self, part: Part) -> None:
        """Do a part, whatever comes of it."""
        try:
            found = part.work()
        except Exception as error:
            traceback.print_exc()
            first_line = [*str(error).strip().splitlines(), ""][0]
            self.failures.append(f"{part}: {type(error).__name__}: {first_line}")
            found = "**failed**"
        print(f"{part}: {found}", flush=True)
        self._tables.setdefault(part.table, {}).setdefault(part.row, {})[part.column] = found

    def __str__(self) -> str:
        lines = [*self._head]
        if not self.is_whole:
            lines += ["**Not all was done: the script did not come to its end.**", ""]
        lines += [f"Failed: {len(self.failures)}.", *(f"- {failure}" for failure in self.failures)]
        for title, rows in self._tables.items():
            cells = [{"": row, **found} for row, found in rows.items()]
            lines += ["", f"## {title}", ""]
            lines += [tabulate(cells, "keys", tablefmt="pipe", disable_numparse=True)]
        return "\n".join(lines) + "\n"


def made_on(device: torch.device) -> str:
    """When, on what and by which code."""
    versions = [computing_packages()]
    machine = [device_name(device)]
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        versions += [f"CUDA {torch.version.cuda}", f"cuDNN {torch.backends.cudnn.version()}"]
        machine += [f"{memory:.0f} GiB", f"driver {driver()}"]
    code = f"commit {git_version(repository())}, hash of the code {code_hash(repository())}"
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    return f"Made on {today} on {', '.join(machine)}; {', '.join(versions)}; {code}."


def driver() -> str:
    """Version of the GPU's driver, as nvidia-smi says it."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, encoding="utf-8").stdout.split("\n")[0]


def parts(demo: Demo, runs: dict[str, Run], *, is_tiny: bool) -> Iterator[Part]:
    """All that the page says; the quick ones first, and last those that compile for each recipe."""
    recipes = list(demo.study["recipes"])
    yield from checks_of_recipes("Recipes", demo, recipes)
    for method in demo.study.methods:
        check = partial(correctness.predicts_as_on_cpu, demo, method)
        yield Part("Methods", method, "other than the CPU's", check)
    yield from measurements(demo.device, runs, is_tiny=is_tiny)
    compiled = replace(demo, runs=demo.runs.with_name("compiled"), is_compiled=True)
    yield from checks_of_recipes("Recipes, compiled", compiled, recipes[:1] if is_tiny else recipes)


def checks_of_recipes(table: str, demo: Demo, recipes: list[str]) -> Iterator[Part]:
    """Every check of every recipe."""
    for recipe in recipes:
        checks = {"trains": correctness.trains}
        if recipe in DRAWS_NOTHING or not demo.is_compiled:
            checks |= {
                f"a step in {precision}": partial(correctness.agrees_with_cpu, precision=precision)
                for precision in LARGEST_ERRORS
            }
        checks |= {
            "same bits again": partial(correctness.same_bits, interrupted=False),
            "same bits after an interruption": partial(correctness.same_bits, interrupted=True),
        }
        if demo.device.type == "cuda":
            checks["waits"] = correctness.waits_for_nothing
        for column, check in checks.items():
            yield Part(table, recipe, column, partial(check, demo, recipe))


def measurements(device: torch.device, runs: dict[str, Run], *, is_tiny: bool) -> Iterator[Part]:
    """Every number of every size; zhao2022 takes those of the last size, compiled."""
    count, product = (10, 256) if is_tiny else (100, 8192)
    for size, run in runs.items():
        for way in ("eager", "compiled"):
            steps = Steps(run, device, is_compiled=way == "compiled", count=count)
            for column, work in steps.measurements(product).items():
                yield Part("Training", f"{size}, {way}", column, work)
        volumes = Volumes(run, device, count // 10)
        yield Part("Prediction", size, "a volume of 10 slices, ms", volumes.milliseconds)
    yield Part("zhao2022", "all trainings, one after the other", "hours", steps.hours)
    yield Part("zhao2022", "all predictions, one after the other", "hours", volumes.hours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="the page; docs/results/gpu-<name>.md if unset")
    parser.add_argument("--tiny", action="store_true", help="the least of all on the CPU, as a try")
    parser.add_argument("--only", default="", help="what has this text in its name alone")
    options = parser.parse_args()
    if options.tiny and options.output is None:
        parser.error("--tiny needs --output, as a page of no GPU is none of the results")
    os.environ[DEVICE_VARIABLE] = "cpu" if options.tiny else "cuda"
    make_deterministic()
    device = choose_device()
    page, output = Page(command(options), device), options.output or page_of(device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = make_demo(folder, device, is_tiny=options.tiny)
        if options.tiny:
            write_cases("laptop", folder / "tiny")
            runs = {"tiny": replace(run_of("laptop", folder / "tiny"), plan=demo.plan)}
        else:
            runs = runs_of_all_sizes(folder)
        for part in parts(demo, runs, is_tiny=options.tiny):
            if options.only in str(part):
                page.fill(part)
                output.write_text(str(page), encoding="utf-8")
    page.is_whole = True
    output.write_text(str(page), encoding="utf-8")
    print(page)
    sys.exit(1 if page.failures else 0)


def command(options: argparse.Namespace) -> str:
    """The command that was given, but for the path of the page."""
    words = ["python", "benchmarks/gpu_check.py", *(["--tiny"] if options.tiny else [])]
    return shlex.join([*words, *(["--only", options.only] if options.only else [])])


def page_of(device: torch.device) -> Path:
    """The page of a GPU, among the results."""
    name = re.sub("[^a-z0-9]+", "-", torch.cuda.get_device_name(device).lower())
    return repository() / "docs" / "results" / f"gpu-{name}.md"


if __name__ == "__main__":
    main()
