"""The script for the first minutes on a GPU runs, so far as a CPU can tell, and finds faults."""

import ast
import itertools
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cardiouq import methods
from cardiouq.device.environment import DEVICE_VARIABLE
from cardiouq.provenance.code import modules_of
from cardiouq.training.run import Run
from tests.device.pretended_cuda import pretended_cuda
from tests.paths import ROOT

torch.set_num_threads(1)


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of the benchmarks can be imported, and what they ask of the environment is undone."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")


@pytest.fixture
def page(benchmarks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that does some parts of the script, to its exit status and page."""

    def run(only: str) -> tuple[object, str]:
        file = tmp_path / "page.md"
        monkeypatch.setattr(sys, "argv", ["-", "--tiny", "--only", only, "--output", str(file)])
        with pytest.raises(SystemExit) as exit:
            import_module("gpu_check").main()
        return exit.value.code, file.read_text(encoding="utf-8")

    return run


def imported_by(file: Path) -> Iterator[str]:
    """The packages that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_docs_name_all_packages_that_are_to_be_installed() -> None:
    scripts = {file.stem: file for file in (ROOT / "benchmarks").glob("*.py")}
    files = [scripts["gpu_check"]]
    for file in files:  # grows meanwhile
        files += {scripts[name] for name in imported_by(file) if name in scripts} - {*files}
    files += Path(*methods.__path__).glob("*.py")  # are loaded by their names
    files += modules_of("../../benchmarks/gpu_check", *files)
    found = {name for file in files if file.suffix == ".py" for name in imported_by(file)}
    others = found - scripts.keys() - sys.stdlib_module_names - {"cardiouq"}
    needed = {name.lower() for other in others for name in packages_distributions()[other]}
    text = (ROOT / "docs/gpu.md").read_text(encoding="utf-8")
    [line] = re.findall(r"^    pip install (.*)$", text, re.MULTILINE)
    assert needed - {"torch", "numpy"} == {*line.split()}


def test_page_says_what_was_done_and_that_it_was_no_gpu(page: Any) -> None:
    status, text = page("Recipes: polynomial: a step in float32")
    assert status == 0
    assert (
        "python benchmarks/gpu_check.py --tiny --only 'Recipes: polynomial: a step in float32'"
        in text
    )
    assert "the CPU and no GPU" in text
    assert "Failed: 0." in text
    assert "| polynomial | loss 0.0e+00, gradient 0.0e+00 from the CPU's |" in text


def test_training_that_is_repeated_or_interrupted_has_the_same_bits(page: Any) -> None:
    status, text = page("Recipes: polynomial: same bits")
    assert status == 0
    assert "Failed: 0." in text


def test_what_fails_does_not_stop_the_rest(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here no training gives the same bits as another."""
    seeds = itertools.count()
    monkeypatch.setattr(Run, "seed_for", lambda *_: next(seeds))
    status, text = page("Recipes: layer_ensemble: ")
    assert status == 1
    assert "Failed: 4." in text
    assert "same bits again: Wrong: others are checkpoints/" in text
    [row] = [line for line in text.splitlines() if line.startswith("| layer_ensemble")]
    assert row.count("**failed**") == 4
    assert "loss" in row


def test_random_numbers_are_the_same_on_the_cpu_and_on_a_gpu(
    benchmarks: None, tmp_path: Path
) -> None:
    """Where the network has another layout in bf16, so that dropout goes through other memory."""
    correctness = import_module("gpu_correctness")
    demo = correctness.make_demo(tmp_path, torch.device("cuda"), is_tiny=True)
    with pretended_cuda():
        assert "from the CPU's" in correctness.agrees_with_cpu(demo, "dropout", "bf16")


@pytest.mark.parametrize(
    ("method", "voxels", "is_right"),
    [
        ("calibrated_ensemble", 1, True),
        ("calibrated_ensemble", 3, False),
        ("layer_ensemble", 1, False),
    ],
)
def test_flipped_vote_is_rounding_and_a_moved_probability_is_not(
    benchmarks: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    voxels: int,
    is_right: bool,
) -> None:
    """Of the 2,000 voxels of a case; a vote moves the calibrated probabilities from row to row."""
    correctness = import_module("gpu_correctness")
    demo = correctness.make_demo(tmp_path, torch.device("cpu"), is_tiny=True)
    labels, mean = np.zeros((5, 20, 20), np.uint8), np.full((4, 5, 20, 20), 0.25)
    moved = mean.copy()
    moved[0, 0, 0, :voxels] -= 0.1
    moved[1, 0, 0, :voxels] += 0.1
    found = iter([(labels, mean), (labels, moved)])
    monkeypatch.setattr(correctness, "predicted", lambda *_: next(found))
    monkeypatch.setattr(correctness.Demo, "trained", lambda *_: tmp_path)
    with nullcontext() if is_right else pytest.raises(correctness.Wrong, match=r"up to 0\.1000"):
        assert "up to 0.1000" in correctness.predicts_as_on_cpu(demo, method)
