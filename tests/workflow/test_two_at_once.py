"""Two processes at the same thing: the second waits for the first one's end, or is refused, or
nothing that it reads is half written."""

import logging
import runpy
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from cardiouq.data import distorted
from cardiouq.data.plan import Plan
from cardiouq.evaluation import scoring
from cardiouq.files import locks
from cardiouq.files.asked import is_as_asked
from cardiouq.files.locks import try_lock
from tests.paths import TINY


def script(repository: Path, name: str, **fields: Any) -> None:
    """Run the script of a rule in this process, as Snakemake does in one of its own."""
    path = repository / "workflow" / "scripts" / f"{name}.py"
    runpy.run_path(str(path), init_globals={"snakemake": SimpleNamespace(**fields)})


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Folder of a table of cases and one of test sets."""
    (tmp_path / "cases.csv").write_text("case,subject\na_ED,a\n", encoding="utf-8")
    (tmp_path / "test_sets.csv").write_text("test_set,case\none,a_ED\n", encoding="utf-8")
    return tmp_path


def released_in_sleep(monkeypatch: pytest.MonkeyPatch, path: Path, steps: list[str]) -> None:
    """Hold a lock until someone waits for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = try_lock(path)
    assert lock is not None

    def sleep(seconds: float) -> None:
        steps.append("waited")
        lock.close()

    monkeypatch.setattr(locks.time, "sleep", sleep)


def test_evaluation_waits_for_the_prediction_and_others_for_it(
    repository: Path,
    tables: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    steps: list[str] = []
    lock = tables / "prediction" / ".vanilla.lock"
    released_in_sleep(monkeypatch, lock, steps)

    asked = {"settings": {}, "learnt_from": ["one"], "seed": 1}

    def score_method(*arguments: Any, **told: Any) -> dict[str, Any]:
        assert told == asked
        steps.append("scored")
        assert try_lock(lock) is None  # a prediction would wait
        return {}

    monkeypatch.setattr(scoring, "score_method", score_method)
    script(
        repository,
        "evaluate",
        log=[str(tables / "evaluate.log")],
        wildcards=SimpleNamespace(method="vanilla"),
        input=SimpleNamespace(
            samples=str(tables / "prediction" / "vanilla" / "samples.csv"),
            cases=[tables / "cases.csv"],
            test_sets=[tables / "test_sets.csv"],
        ),
        output=SimpleNamespace(scores=str(tables / "scores.csv")),
        params=SimpleNamespace(asked=asked),
    )
    assert is_as_asked(tables, asked) and not is_as_asked(tables, {})
    assert steps == ["waited", "scored"]
    said = f"another process works on {tables / 'prediction' / 'vanilla'}; waiting for its end"
    assert caplog.messages.count(said) == 1
    assert not lock.exists()


def test_scans_are_distorted_by_one_process_after_another(
    repository: Path, tables: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    folder = tables / "data" / "distorted"
    released_in_sleep(monkeypatch, tables / "data" / ".distorted.lock", steps)
    folder.mkdir()
    (folder / "of the first").touch()

    def distort_cases(*arguments: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        steps.append("distorted")
        assert list(folder.iterdir()) == []
        return pd.DataFrame(), pd.DataFrame()

    monkeypatch.setattr(distorted, "distort_cases", distort_cases)
    (tables / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    out = SimpleNamespace(
        scans=str(folder), cases=tables / "of_cases.csv", test_sets=tables / "of_test_sets.csv"
    )
    names = {name: str(tables / f"{name}.csv") for name in ("cases", "test_sets")}
    script(
        repository,
        "distort",
        log=[str(tables / "distort.log")],
        input=SimpleNamespace(**names, plan=str(tables / "plan.json")),
        output=out,
        params=SimpleNamespace(of="one", subjects=1, seed=1, distorted={}),
    )
    assert steps == ["waited", "distorted"]


@pytest.fixture
def workflow(fresh: Any, tmp_path: Path) -> Any:
    """The tiny study, of which nothing has been made but the folder of its results."""
    (tmp_path / "studies").mkdir()
    study = shutil.copy(TINY, tmp_path / "studies")
    (tmp_path / "work" / "results" / "tiny").mkdir(parents=True)
    return replace(fresh, study=study, directory=tmp_path / "work")


@contextmanager
def at_work(workflow: Any) -> Iterator[Path]:
    """As if another Snakemake were; the folder of results."""
    results = workflow.results
    lock = try_lock(results / ".lock")
    assert lock is not None
    with lock:
        yield results


def linked(workflow: Any, name: str) -> Path:
    """Another working directory in which this folder is the first one's."""
    link = workflow.directory.with_name("second") / name
    link.parent.mkdir(parents=True)
    link.symlink_to(workflow.directory / name)
    return workflow.directory.with_name("second")


@pytest.mark.parametrize("way", ["--nolock", "results", "results/tiny"])
def test_second_snakemake_on_the_same_results_is_refused(workflow: Any, way: str) -> None:
    """In the same working directory, or in another where a folder is a link to the first one's."""
    directory = workflow.directory if way == "--nolock" else linked(workflow, way)
    with at_work(workflow) as results:
        done = workflow.run(*[way][: way == "--nolock"], directory=directory)
        assert done.returncode == 1
        told = "ERROR: results/tiny: another Snakemake works on these results, maybe in another "
        assert done.stdout.count(told) == 1
        assert "Traceback" not in done.stdout
        assert [path.name for path in results.rglob("*")] == [".lock"]


def test_beside_a_snakemake_at_work_others_may_look(workflow: Any) -> None:
    with at_work(workflow):
        assert workflow.plan().jobs["all"] == 1
        fetched = workflow.run("fetch_acdc")
    assert "acdc_root" in fetched.stdout  # is empty; it is of no results
    assert "another Snakemake" not in fetched.stdout


def test_lock_of_a_killed_snakemake_holds_nobody(workflow: Any) -> None:
    lock = workflow.results / ".lock"
    lock.touch()
    done = workflow.run("make_phantom")
    assert done.returncode == 0, done.stdout
    assert not lock.exists()
