"""The script for the first minutes on a GPU runs, so far as a CPU can tell, and finds faults."""

import itertools
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from cardiouq.device.environment import DEVICE_VARIABLE
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
