"""What a real prediction logs is what its progress is read from."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cardiouq.data.plan import Plan
from cardiouq.methods import build_method
from cardiouq.prediction import predict as module
from cardiouq.prediction.predict import predict
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import RunOnDisk
from cardiouq.prediction.sampler import RunSampler, images_in
from cardiouq.prediction.steps import Step
from cardiouq.progress.jobs import STALL_SECONDS, Job, jobs_of
from cardiouq.recipes.schedule import PolynomialSchedule
from cardiouq.study.study import Study

SECONDS = 7000.0
"""Processor time of each network, far more than what a job may be silent for by itself."""


@pytest.fixture
def lines(
    make_run: Callable[..., RunOnDisk],
    plan: Plan,
    arrays: Path,
    cases: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Callable[[dict[str, Any]], list[str]]:
    """The lines of the log of a method's prediction, of one volume after the other."""

    def log_of(block: dict[str, Any]) -> list[str]:
        ticks = iter(range(1000))
        clock = type("Clock", (), {"process_time": staticmethod(lambda: SECONDS * next(ticks))})
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(module, "SUMS_BYTES", 1)
        method = build_method(block)
        runs = [make_run(member.seed, {19: member.seed}, 0.5) for member in method.members()]
        schedule = PolynomialSchedule(epochs=20, alpha_0=0.01, epsilon=0.9)
        predictor = Predictor(plan, 0.25, torch.device("cpu"))
        sampler = RunSampler(method, runs, schedule, predictor, images_in([arrays]))
        with caplog.at_level("INFO"):
            predict(sampler, {"one": cases, "two": cases[:1]}, 1, tmp_path / "out")
        return [f"10:00:00  name: {message}\n" for message in caplog.messages]

    return log_of


@pytest.fixture
def job(
    make_study: Callable[[dict[str, Any]], Study], tiny: dict[str, Any], tmp_path: Path
) -> Callable[[str, list[str]], Job]:
    """What is known of a prediction of the tiny study whose log has some lines."""
    study = make_study(tiny)

    def read(name: str, lines: list[str]) -> Job:
        log = tmp_path / study.results / f"logs/predict/{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(lines), encoding="utf-8")
        return jobs_of(study, tmp_path)[f"predict {name}"]

    return read


def test_each_network_is_a_step_of_the_samples_of_some_volumes(
    lines: Callable[[dict[str, Any]], list[str]],
) -> None:
    found = Step.all_in("".join(lines({"method": "deep_ensemble", "size": 2})))
    assert found == [
        Step(1, 2, 1, 1, 2, SECONDS),
        Step(2, 2, 1, 1, 2, SECONDS),
        Step(1, 2, 2, 2, 2, SECONDS),
        Step(2, 2, 2, 2, 2, SECONDS),
    ]
    assert [step.share for step in found] == [0.25, 0.5, 0.75, 1]


def test_prediction_of_volume_after_volume_is_done_by_the_share_of_both(
    lines: Callable[[dict[str, Any]], list[str]], job: Callable[[str, list[str]], Job]
) -> None:
    written = lines({"method": "deep_ensemble", "size": 2})
    jobs = [job("deep_ensemble", written[:count]) for count in range(5)]
    assert {job.steps for job in jobs} == {2}
    assert [job.done for job in jobs] == [0, 0.5, 1, 1.5, 2]
    assert [job.spent for job in jobs] == [SECONDS * count for count in range(5)]


def test_prediction_of_all_samples_at_once_may_be_silent_for_three_networks(
    lines: Callable[[dict[str, Any]], list[str]], job: Callable[[str, list[str]], Job]
) -> None:
    """However many samples a network gives at once."""
    found = job("mc_dropout", lines({"method": "mc_dropout", "passes": 3})[:1])
    assert (found.done, found.steps, found.spent) == (1.5, 3, SECONDS)
    assert found.state(time.time() + 2.9 * SECONDS) == "running"
    assert found.state(time.time() + 3.1 * SECONDS) == "stopped"
    assert job("mc_dropout", []).state(time.time() + 1.1 * STALL_SECONDS) == "stopped"


def test_time_of_all_steps_counts_however_long_the_log_is(
    job: Callable[[str, list[str]], Job],
) -> None:
    line = f"10:00:00  name: {Step(1, 3, 1, 1, 9, 5.0)}\n"
    assert job("mc_dropout", [line] * 1000).spent == 5000
