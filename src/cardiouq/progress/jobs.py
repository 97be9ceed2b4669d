"""The trainings, predictions and evaluations of a study: how far each is, and what it will take.

Reads files only. What has not begun is known from the study.
"""

import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean

from pandas.errors import EmptyDataError

from cardiouq.data.plan import Plan
from cardiouq.device.environment import gpus_per_job
from cardiouq.errors import STOPPED
from cardiouq.files.asked import is_as_asked
from cardiouq.files.run_files import HISTORY_FILE, RUN_FILE, products_folder
from cardiouq.files.tables import parse_rows, read_benchmark
from cardiouq.methods.base import Member
from cardiouq.prediction.steps import Step
from cardiouq.progress.estimates import (
    USUAL_SHARE,
    evaluation_seconds,
    images_per_epoch,
    plan_of,
    prediction_seconds,
    training_seconds,
)
from cardiouq.study.study import Study
from cardiouq.training.interruption import LEFT

STALL_SECONDS = 600
"""Seconds without a sign of a job after which it counts as stopped, unless three times those that
have passed from one sign to the next are more."""


@dataclass
class Job:
    """A training in steps of an epoch, a prediction in steps of a sample, or an evaluation."""

    kind: str
    name: str
    alike: str
    """Name of the jobs whose steps take as long: of its recipe, or all of its kind."""
    log: Path
    needs: list[str]
    finished: bool
    steps: int = 1
    work: float = 1.0
    """Images of a step, by which other jobs' seconds are scaled."""
    done: float = 0.0
    """Steps that are done. Of a prediction one may be so for some of the volumes."""
    spent: float = 0.0
    signs: int = 0
    """How often the job has said so: after each epoch, or each network of a prediction."""
    guess: float = 0.0
    """Seconds that the job would take on an old machine."""
    outdated: bool = False
    """Its products are there, but of other settings, or older than what they are made of."""
    late: float = 0.0
    """Mean seconds of the later half of a training's epochs, as the first may be compiled in."""

    @property
    def pace(self) -> float:
        """Seconds of a step, by those that are done, of which there are some."""
        return self.late or self.spent / self.done

    def state(self, now: float) -> str:
        """State of the job: done, failed, running, stopped or waiting."""
        if self.finished:
            return "done"
        if self.outdated:
            return "waiting"
        if error_in(self.log):
            return "failed"
        if has_left(self.log):
            return "stopped"
        try:
            age = now - self.log.stat().st_mtime
        except FileNotFoundError:
            return "stopped" if self.done else "waiting"
        patience = max(STALL_SECONDS, 3 * self.spent / max(self.signs, 1))
        return "running" if age < patience else "stopped"


def training_job(study: Study, recipe: str, member: Member, root: Path, plan: Plan) -> Job:
    """Describe the training of one member of a recipe."""
    folder = root / study.run_folder(recipe, member)
    finished = (folder / RUN_FILE).is_file()
    products = folder if finished else products_folder(folder)
    seconds = _column(products / HISTORY_FILE, "seconds")
    base = study.base_run(recipe, member)
    return Job(
        kind="training",
        name=f"{recipe}, seed {member}",
        alike=recipe,
        log=root / study.results / f"logs/train/{folder.parent.name}/{folder.name}.log",
        needs=[f"{base[0]}, seed {base[1]}"] if base else [],
        finished=finished,
        steps=study.own_epochs(recipe),
        work=images_per_epoch(study, recipe),
        done=len(seconds),
        spent=sum(seconds),
        signs=len(seconds),
        guess=training_seconds(study, recipe, plan, gpus_per_job(study.local_config["device"])),
        late=fmean(seconds[len(seconds) // 2 :]) if seconds else 0.0,
    )


def method_jobs(study: Study, name: str, root: Path, plan: Plan) -> list[Job]:
    """Describe the prediction and the evaluation of a method or a repeat."""
    results, recipe = root / study.results, study.recipe_of(name)
    steps = study.sample_count(name, plan)
    samples = results / f"prediction/{name}/samples.csv"
    scores = results / f"evaluation/{name}/scores.csv"
    runs = [root / folder for folder in study.run_folders(name)]
    predicted = (
        samples.is_file()
        and all((run / RUN_FILE).is_file() for run in runs)
        and is_as_asked(samples.parent, study.asked(name))
    )
    evaluated = (
        scores.is_file()
        and predicted
        and _time(scores) >= _time(samples)
        and is_as_asked(scores.parent, study.asked_to_score())
    )
    log = results / f"logs/predict/{name}.log"
    # the log of what is outdated ended before its products were there
    outdated = samples.is_file() and not predicted and _time(log) <= _time(samples)
    said = [] if outdated else Step.all_in(_text(log))
    share = said[-1].share if said else 0.0
    gpus = gpus_per_job(study.local_config["device"])
    listed = "*test_sets.csv" if study.predicts_distorted(name) else "test_sets.csv"
    tables = list((results / "data").glob(listed))
    prediction = Job(
        kind="prediction",
        name=f"predict {name}",
        alike="prediction",
        log=log,
        needs=[f"{recipe}, seed {member}" for member in study.method_members(name)],
        finished=predicted,
        steps=steps,
        done=steps if predicted else steps * share,
        spent=_took(results, "predict", name) if predicted else sum(of.seconds for of in said),
        signs=len(said),
        guess=prediction_seconds(study, name, plan, tables, gpus),
        outdated=outdated,
    )
    evaluation = Job(
        kind="evaluation",
        name=f"evaluate {name}",
        alike="evaluation",
        log=results / f"logs/evaluation/evaluate/{name}.log",
        needs=[prediction.name],
        finished=evaluated,
        done=int(evaluated),
        spent=_took(results, "evaluate", name) if evaluated else 0.0,
        guess=evaluation_seconds(study, name, plan, tables),
        outdated=scores.is_file() and not evaluated,
    )
    return [prediction, evaluation]


def jobs_of(study: Study, root: Path) -> dict[str, Job]:
    """Jobs, by name, of a study whose working directory is `root`."""
    plan = plan_of(study, root / study.results / "data/plan.json")
    runs = [(recipe, member) for recipe in study["recipes"] for member in study.members(recipe)]
    jobs = [training_job(study, *run, root, plan) for run in runs]
    of_methods = [method_jobs(study, name, root, plan) for name in (*study.methods, *study.repeats)]
    return {job.name: job for job in (*jobs, *chain(*zip(*of_methods, strict=True)))}


def remaining_seconds(jobs: dict[str, Job], now: float) -> dict[str, float]:
    """Seconds that each job still takes, by the rates of jobs that have begun.

    A training goes on where it was stopped, a prediction begins anew.

    A job goes at its own rate, at that of jobs alike, at that of its kind for each image, or as
    guessed, with others' share of their guess, or the usual one.
    """
    rates, shares = defaultdict(list), []
    for job in jobs.values():
        if job.spent:
            rates[job.alike].append(job.pace)
            rates[job.kind].append(job.pace / job.work)
        if job.spent and job.guess:
            shares.append(job.pace / (job.guess / job.steps))
    seconds = {}
    for name, job in jobs.items():
        alike = [job.pace] if job.spent else rates[job.alike]
        scaled = [rate * job.work for rate in rates[job.kind]]
        guess = job.guess / job.steps * fmean(shares or [USUAL_SHARE])
        rate = fmean(alike or scaled or [guess])
        begins_anew = job.kind == "prediction" and job.state(now) in ("failed", "stopped")
        left = job.steps - (0 if begins_anew else job.done)
        seconds[name] = 0.0 if job.finished else left * rate
    return seconds


def critical_path(name: str, jobs: dict[str, Job], seconds: dict[str, float]) -> float:
    """Seconds until a job is done, however many are done at once."""
    before = (critical_path(need, jobs, seconds) for need in jobs[name].needs)
    return seconds[name] + max(before, default=0.0)


def error_in(log: Path) -> str:
    """Error that a log ends with, "" if it ends otherwise."""
    end = re.split(r"^\d\d:\d\d:\d\d  .*$", _tail(log), flags=re.MULTILINE)[-1]
    found = re.findall(r"^ERROR: .*|^[\w.]*(?:Error|Exception)\b.*", end, re.MULTILINE)
    return str(found[-1]) if found else ""


def has_left(log: Path) -> bool:
    """Whether a log ends with the words of a job that left as it was told."""
    last = _tail(log).rstrip().rpartition("\n")[-1]
    return last.startswith(STOPPED) or f": {LEFT}; " in last


def _column(path: Path, name: str) -> list[float]:
    """Read a column; it is empty if the job that writes the table has just made or moved it."""
    with suppress(FileNotFoundError, EmptyDataError):
        if path.suffix == ".tsv":
            return list(read_benchmark(path)[name])
        # without its hash: a training may be at work on it
        if content := path.read_bytes():
            return list(parse_rows(content, path)[name])
    return []


def _time(file: Path) -> float:
    """When a file was written; 0 if there is none."""
    with suppress(FileNotFoundError):
        return file.stat().st_mtime
    return 0.0


def _took(results: Path, rule: str, job: str) -> float:
    return sum(_column(results / f"benchmarks/{rule}/{job}.tsv", "s"))


def _tail(path: Path) -> str:
    return _text(path)[-8192:]


def _text(path: Path) -> str:
    with suppress(FileNotFoundError):  # a job that starts removes its log
        return path.read_bytes().decode(errors="replace")
    return ""
