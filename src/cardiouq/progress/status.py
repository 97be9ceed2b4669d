"""The status of a study in words (`cardiouq status`), read without a lock while Snakemake works."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tabulate import tabulate

from cardiouq.progress.jobs import Job, critical_path, error_in, jobs_of, remaining_seconds
from cardiouq.reporting.printing import hours
from cardiouq.study.study import Study

DATA = ("cases.csv", "split.csv", "checks.csv", "plan.json", "preprocessed")


def status(study: Study, root: Path, at_once: int, now: float) -> str:
    """Print a study's status to text.

    Args:
        at_once: jobs that run at a time; 0: as many as run now, or else as there are cores.
    """
    results, jobs = root / study.results, jobs_of(study, root)
    left = remaining_seconds(jobs, now)
    states = {name: job.state(now) for name, job in jobs.items()}
    made = [(results / "data" / name).exists() for name in DATA]
    table: list[list[object]] = [["data", sum(made), len(made)]]
    for alike in dict.fromkeys(job.alike for job in jobs.values()):
        names = [name for name, job in jobs.items() if job.alike == alike]
        count, spent = Counter(states[n] for n in names), sum(jobs[n].spent for n in names)
        kind = jobs[names[0]].kind
        row = [kind if kind == alike else f"{kind} {alike}", count["done"], len(names)]
        row += [count[state] for state in ("running", "stopped", "failed", "waiting")]
        table.append([*row, hours(spent), hours(sum(left[name] for name in names))])
    reported = (results / "report.html").is_file() and all(job.finished for job in jobs.values())
    table.append(["reporting", int(reported), 1])
    columns = ["done", "of", "running", "stopped", "failed", "waiting", "spent", "to come"]
    parts = [tabulate(table, ["", *columns], tablefmt="plain")]
    begun = [
        [
            n,
            states[n],
            round(j.done, 1),
            j.steps,
            j.pace if j.done else None,
            hours(left[n]),
        ]
        for n, j in jobs.items()
        if states[n] not in ("done", "waiting")
    ]
    columns = ["begun", "", "epoch, sample", "of", "s each", "to come"]
    digits = ["", "", "g", "", ".3g", ""]
    parts += [tabulate(begun, columns, tablefmt="plain", floatfmt=digits)] if begun else []
    failures = [f"  {log}: {words}" for log, words in failed(results, jobs)]
    parts += ["\n".join(["failed", *failures])] if failures else []
    at_once = at_once or Counter(states.values())["running"] or len(os.sched_getaffinity(0))
    total, longest = sum(left.values()), max(critical_path(name, jobs, left) for name in jobs)
    end = max(total / at_once, longest)
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(now + end))
    measured = {job.kind for job in jobs.values() if job.spent}
    guessed = {job.kind for job in jobs.values() if job.guess and not job.finished} - measured
    guess = (
        f" ({' and '.join(sorted(guessed))} guessed by the demo's and the laptop study's)"
        if guessed
        else ""
    )
    parts.append(
        f"Device time: {hours(sum(j.spent for j in jobs.values()))} spent, {hours(total)} to come"
        f"{guess}.\nWith {at_once} at once {hours(end)} are left, until {at}; the longest chain of "
        f"jobs takes {hours(longest)}. Tables and figures, minutes, are not counted."
    )
    return "\n\n".join(parts)


def failed(results: Path, jobs: dict[str, Job]) -> Iterator[tuple[Path, str]]:
    """Logs and errors of all jobs that failed; Snakemake removes a log when its job starts."""
    of_jobs = {job.log for job in jobs.values()}
    folders = [results / "logs" / name for name in ("train", "predict", "evaluation/evaluate")]
    for log in sorted((results / "logs").rglob("*.log")):
        is_past = log not in of_jobs and any(log.is_relative_to(folder) for folder in folders)
        if not is_past and error_in(log):
            yield log, error_in(log)
