"""A study some of whose jobs have been done, as a run leaves its folders."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cardiouq.prediction.steps import Step
from cardiouq.study.study import Study

A_DAY = 86400


@pytest.fixture
def study(make_study: Callable[[dict[str, Any]], Study], tiny: dict[str, Any]) -> Study:
    return make_study(tiny)


def write(path: Path, text: str, age: float = 0) -> None:
    """Write a file that is some seconds old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    written = time.time() - age
    os.utime(path, (written, written))


def folder_of(study: Study, recipe: str, number: int = 0) -> str:
    [member] = [m for m in study.members(recipe) if str(m) == str(number)]
    return study.run_folder(recipe, member)


def write_history(folder: Path, seconds: Sequence[float]) -> None:
    rows = "".join(f"{epoch},{taken}\n" for epoch, taken in enumerate(seconds))
    write(folder / "history.csv", f"epoch,seconds\n{rows}")


@pytest.fixture
def begun(study: Study, tmp_path: Path) -> Path:
    """One run done, one running, one stopped, one failed; one prediction done, one running."""
    results = tmp_path / study.results

    def log_of(folder: str) -> Path:
        recipe, seed = folder.split("/")[-2:]
        return results / f"logs/train/{recipe}/{seed}.log"

    def side_of(folder: str) -> Path:
        return (tmp_path / folder).with_name(f".{Path(folder).name}.unfinished") / "products"

    done = folder_of(study, "polynomial")
    write_history(tmp_path / done, [2.0] * 8)
    write(tmp_path / done / "run.json", "{}")
    write(log_of(done), "10:00:00  polynomial seed 0: loss 1\n", A_DAY)
    running = folder_of(study, "polynomial", 1)
    write_history(side_of(running), [4.0] * 3)
    write(log_of(running), "10:00:00  polynomial seed 1: loss 1\n")
    stopped = folder_of(study, "cyclical")
    write_history(side_of(stopped), [1.0] * 6)
    write(log_of(stopped), "10:00:00  cyclical seed 0: told to leave\n", A_DAY)
    write(log_of(folder_of(study, "dropout")), "\nERROR: the disk is full\n", A_DAY)
    write(results / "logs/train/dropout-00000000/seed-0.log", "\nERROR: of another study\n")
    write(results / "prediction/vanilla/samples.csv", "sample\n0\n")
    write(results / "benchmarks/predict/vanilla.tsv", "s\tmax_rss\n10\t-\n")
    step = Step(drawn=1, samples=3, first=1, last=9, volumes=9, seconds=6.0)
    write(results / "logs/predict/mc_dropout.log", f"10:00:00  mc_dropout: {step}\n")
    return tmp_path
