"""How far a study is, from folders as a run leaves them."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cardiouq.progress.jobs import Job, error_in, jobs_of, longest_chain, to_come
from cardiouq.progress.status import status
from cardiouq.study.study import Study

Settings = dict[str, Any]
NOW = time.time()
LONG_AGO = NOW - 86400
BEGUN = (("polynomial", 0), ("polynomial", 1), ("cyclical", 0))
MEAN = (2 + 4 + 1) / 3
"""Seconds of an epoch of all runs that have begun."""


@pytest.fixture
def study(make_study: Callable[[Settings], Study], tiny: Settings) -> Study:
    return make_study(tiny)


def write(path: Path, text: str = "", at: float = NOW) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (at, at))


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
    write(log_of(done), "10:00:00  polynomial seed 0: loss 1\n", LONG_AGO)
    running = folder_of(study, "polynomial", 1)
    write_history(side_of(running), [4.0] * 3)
    write(log_of(running), "10:00:00  polynomial seed 1: loss 1\n")
    stopped = folder_of(study, "cyclical")
    write_history(side_of(stopped), [1.0] * 6)
    write(log_of(stopped), "10:00:00  cyclical seed 0: told to leave\n", LONG_AGO)
    write(log_of(folder_of(study, "dropout")), "\nERROR: the disk is full\n", LONG_AGO)
    write(results / "logs/train/dropout-00000000/seed-0.log", "\nERROR: of another study\n")
    write(results / "prediction/vanilla/samples.csv", "sample\n0\n")
    write(results / "benchmarks/predict/vanilla.tsv", "s\tmax_rss\n10\t-\n")
    write(results / "logs/predict/mc_dropout.log", "10:00:00  mc: 1 sample(s) of 9 volumes, 6 s\n")
    return tmp_path


def test_each_job_has_its_state(study: Study, begun: Path) -> None:
    states = {name: job.state(NOW) for name, job in jobs_of(study, begun).items()}
    assert {name: state for name, state in states.items() if state != "waiting"} == {
        "polynomial, seed 0": "done",
        "polynomial, seed 1": "running",
        "cyclical, seed 0": "stopped",
        "dropout, seed 0": "failed",
        "predict vanilla": "done",
        "predict mc_dropout": "running",
    }
    assert states["biased, seed 0-fold-0-of-2-branch+1"] == "waiting"


def test_every_run_method_and_repeat_is_a_job(study: Study, tmp_path: Path) -> None:
    jobs = jobs_of(study, tmp_path)
    kinds = [job.kind for job in jobs.values()]
    assert kinds.count("training") == len(study.all_run_folders())
    assert kinds.count("prediction") == kinds.count("evaluation") == len(study.methods) + 1
    assert set().union(*(job.needs for job in jobs.values())) <= jobs.keys()


@pytest.mark.parametrize(
    ("job", "seconds"),
    [
        ("polynomial, seed 0", 0),
        ("polynomial, seed 1", 5 * 4),  # its own rate
        ("cyclical, seed 0", 6 * 1),
        ("polynomial, seed 0-fold-0-of-2", 8 * 3),  # its recipe's
        ("dropout, seed 0", 8 * MEAN),  # others', as it has as many images
        ("biased, seed 0-fold-0-of-2-branch+1", 2 * MEAN),  # the last quarter of eight epochs
        ("predict vanilla", 0),
        ("predict mc_dropout", 2 * 6),
        ("predict mcd_0_1", 2 * 8),  # two passes at the mean of 10 and 6
        ("predict swa", 8),  # one network of two checkpoints
    ],
)
def test_what_remains_follows_the_nearest_rate(
    study: Study, begun: Path, job: str, seconds: float
) -> None:
    assert to_come(jobs_of(study, begun))[job] == pytest.approx(seconds)


def test_larger_batches_take_longer(
    make_study: Callable[[Settings], Study], tiny: Settings, begun: Path
) -> None:
    tiny["recipes"]["middle_dropout_0_1"]["batch_size"] *= 2
    seconds = to_come(jobs_of(make_study(tiny), begun))
    assert seconds["middle_dropout_0_1, seed 0"] == pytest.approx(2 * 8 * MEAN)


def test_without_any_run_a_guess_is_all_there_is(study: Study, tmp_path: Path) -> None:
    jobs = jobs_of(study, tmp_path)
    assert all(s > 0 for name, s in to_come(jobs).items() if jobs[name].kind != "evaluation")
    text = status(study, tmp_path, 0, NOW)
    assert "guessed" in text
    assert "begun" not in text


def test_guess_is_scaled_by_what_has_been_measured(study: Study, begun: Path) -> None:
    guess = jobs_of(study, begun)["predict ssn"].guess
    for name in ("prediction/vanilla/samples.csv", "logs/predict/mc_dropout.log"):
        (begun / study.results / name).unlink()
    jobs = jobs_of(study, begun)
    began = [jobs[f"{run}, seed {seed}"] for run, seed in BEGUN]
    shares = [job.spent / job.done / (job.guess / job.steps) for job in began]
    assert to_come(jobs)["predict ssn"] == pytest.approx(guess * sum(shares) / 3)
    assert "(prediction guessed for an old machine)" in status(study, begun, 0, NOW)


def test_prediction_ends_after_its_slowest_run_and_what_that_branches_from() -> None:
    needs = {"base": [], "branch": ["base"], "other": [], "predict": ["branch", "other"]}
    jobs = {
        name: Job("training", name, name, Path("log"), list(before), False)
        for name, before in needs.items()
    }
    seconds = {"base": 5.0, "branch": 2.0, "other": 6.0, "predict": 1.0}
    assert longest_chain("predict", jobs, seconds) == 8


def test_status_has_stages_rates_failures_and_the_end(study: Study, begun: Path) -> None:
    text = status(study, begun, 4, NOW)
    lines = {line.split("  ")[0]: line.split() for line in text.splitlines() if line}
    # done, of, running, stopped, failed, waiting
    n_runs = len(study.members("polynomial"))
    counts = ["1", str(n_runs), "1", "0", "0", str(n_runs - 2), "0:00:28"]
    assert lines["training polynomial"][2:9] == counts
    assert lines["training dropout"][2:8] == ["0", "1", "0", "0", "1", "0"]
    assert lines["polynomial, seed 1"][3:] == ["running", "3", "8", "4", "0:00:20"]
    assert lines["cyclical, seed 0"][3:] == ["stopped", "6", "12", "1", "0:00:06"]
    assert "seed-0.log: ERROR: the disk is full" in text
    assert "another study" not in text
    assert "0:00:50 spent" in text  # 16 + 12 + 6 of training, 10 + 6 of prediction
    total = sum(to_come(jobs_of(study, begun)).values())
    assert f"With 4 at once 0:{total / 4 // 60:02.0f}:" in text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", ""),
        ("10:00:00  a: loss 1\n", ""),
        ("10:00:00  a: loss 1\n\nERROR: two problems:\n  - one\n  - two\n", "ERROR: two problems:"),
        ("Traceback (most recent call last):\n  File\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("\nERROR: old\n10:00:00  a: loss 1\n", ""),
    ],
)
def test_error_is_what_a_log_ends_with(tmp_path: Path, text: str, error: str) -> None:
    write(tmp_path / "a.log", text)
    assert error_in(tmp_path / "a.log") == error
