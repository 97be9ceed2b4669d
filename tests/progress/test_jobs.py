"""What each job of a study has done and will take, from folders as a run leaves them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardiouq.files.asked import note_asked
from cardiouq.progress.jobs import Job, critical_path, error_in, jobs_of, remaining_seconds
from cardiouq.progress.status import status
from cardiouq.study.study import Study
from tests.progress.conftest import folder_of, write, write_history

Settings = dict[str, Any]
BEGUN = (("polynomial", 0), ("polynomial", 1), ("cyclical", 0))
MEAN = (2 + 4 + 1) / 3
"""Seconds of an epoch of all runs that have begun."""


def test_each_job_has_its_state(study: Study, begun: Path) -> None:
    states = {name: job.state(time.time()) for name, job in jobs_of(study, begun).items()}
    assert {name: state for name, state in states.items() if state != "waiting"} == {
        "polynomial, seed 0": "done",
        "polynomial, seed 1": "running",
        "cyclical, seed 0": "stopped",
        "dropout, seed 0": "failed",
        "predict vanilla": "done",
        "predict mc_dropout": "running",
    }
    assert states["biased, seed 0-fold-0-of-2-branch+1"] == "waiting"


@pytest.mark.parametrize(
    ("log", "job", "words"),
    [
        (
            "train/{}.log",
            "polynomial, seed 1",
            "10:00:09  polynomial seed 1: told to leave; 3 epochs are kept, the next run goes on "
            "from there",
        ),
        (
            "predict/mc_dropout.log",
            "predict mc_dropout",
            "stopped as told; the same command goes on from what is finished",
        ),
    ],
)
def test_job_that_says_that_it_left_is_stopped_at_once(
    study: Study, begun: Path, log: str, job: str, words: str
) -> None:
    run = Path(folder_of(study, "polynomial", 1))
    file = begun / study.results / "logs" / log.format(f"{run.parent.name}/{run.name}")
    write(file, f"{file.read_text(encoding='utf-8')}{words}\n")
    jobs = jobs_of(study, begun)
    assert jobs[job].state(time.time()) == "stopped"
    write(file, f"{words}\n10:00:10  it goes on\n")
    assert jobs[job].state(time.time()) == "running"


def test_what_is_of_other_settings_or_older_waits(study: Study, begun: Path) -> None:
    """A prediction of other settings or without its runs, and a score that is older than it."""
    results = begun / study.results
    predicted, scores = results / "prediction/vanilla", results / "evaluation/vanilla/scores.csv"

    def states() -> list[str]:
        jobs = jobs_of(study, begun)
        return [jobs[f"{what} vanilla"].state(time.time()) for what in ("predict", "evaluate")]

    write(results / "logs/predict/vanilla.log", "10:00:00  vanilla: done\n", 60)
    write(scores, "case\n")
    assert states() == ["done", "done"]
    write(scores, "case\n", 30)
    assert states() == ["done", "waiting"]
    note_asked(predicted, study.asked("vanilla"))
    assert states()[0] == "done"
    note_asked(predicted, study.asked("vanilla") | {"seed": 7})
    assert states() == ["waiting", "waiting"]
    assert remaining_seconds(jobs_of(study, begun), time.time())["predict vanilla"] > 0
    note_asked(predicted, study.asked("vanilla"))
    write(scores, "case\n")
    note_asked(scores.parent, study.asked_to_score() | {"seed": 7})
    assert states() == ["done", "waiting"]
    note_asked(scores.parent, study.asked_to_score())
    assert states() == ["done", "done"]
    (begun / folder_of(study, "polynomial") / "run.json").unlink()
    assert states() == ["waiting", "waiting"]


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
    assert remaining_seconds(jobs_of(study, begun), time.time())[job] == pytest.approx(seconds)


def test_what_remains_of_a_training_follows_its_later_epochs(study: Study, begun: Path) -> None:
    """The first may take as long as compiling does."""
    run = Path(folder_of(study, "polynomial", 1))
    products = begun / run.with_name(f".{run.name}.unfinished") / "products"
    write_history(products, [300.0, 20.0, 4.0, 2.0])
    job = jobs_of(study, begun)["polynomial, seed 1"]
    assert (job.spent, job.pace) == (326, 3)
    left = remaining_seconds({job.name: job}, time.time())[job.name]
    assert left == pytest.approx(4 * 3)


def test_larger_batches_take_longer(
    make_study: Callable[[Settings], Study], tiny: Settings, begun: Path
) -> None:
    tiny["recipes"]["middle_dropout_0_1"]["batch_size"] *= 2
    seconds = remaining_seconds(jobs_of(make_study(tiny), begun), time.time())
    assert seconds["middle_dropout_0_1, seed 0"] == pytest.approx(2 * 8 * MEAN)


def test_without_any_run_a_guess_is_all_there_is(study: Study, tmp_path: Path) -> None:
    jobs = jobs_of(study, tmp_path)
    assert all(seconds > 0 for seconds in remaining_seconds(jobs, time.time()).values())
    text = status(study, tmp_path, 0, time.time())
    assert "guessed" in text
    assert "begun" not in text


def test_guess_is_scaled_by_what_has_been_measured(study: Study, begun: Path) -> None:
    guess = jobs_of(study, begun)["predict ssn"].guess
    for name in ("prediction/vanilla/samples.csv", "logs/predict/mc_dropout.log"):
        (begun / study.results / name).unlink()
    jobs = jobs_of(study, begun)
    began = [jobs[f"{run}, seed {seed}"] for run, seed in BEGUN]
    shares = [job.spent / job.done / (job.guess / job.steps) for job in began]
    assert remaining_seconds(jobs, time.time())["predict ssn"] == pytest.approx(
        guess * sum(shares) / 3
    )
    assert "(evaluation and prediction guessed by the demo's and the laptop study's)" in status(
        study, begun, 0, time.time()
    )


def test_prediction_ends_after_its_slowest_run_and_what_that_branches_from() -> None:
    needs = {"base": [], "branch": ["base"], "other": [], "predict": ["branch", "other"]}
    jobs = {
        name: Job("training", name, name, Path("log"), list(before), False)
        for name, before in needs.items()
    }
    seconds = {"base": 5.0, "branch": 2.0, "other": 6.0, "predict": 1.0}
    assert critical_path("predict", jobs, seconds) == 8


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
    (tmp_path / "a.log").write_text(text, encoding="utf-8")
    assert error_in(tmp_path / "a.log") == error
