"""The state that a study's results come from: code, settings, data, packages and device."""

import json
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from cardiouq.device.environment import processor, requested_device
from cardiouq.files.documents import read_json
from cardiouq.files.reading import read
from cardiouq.files.run_files import HISTORY_FILE
from cardiouq.files.tables import read_benchmark, read_rows
from cardiouq.files.writing import HASHES_FILE
from cardiouq.provenance.record import (
    NOT_RECORDED,
    code_files,
    code_hash,
    git_version,
    machines,
    packages,
    repository,
    sha256,
)

MEASURED = {
    "cost.csv": (
        "training_processor_seconds",
        "training_memory_mib",
        "prediction_processor_seconds_per_slice",
        "prediction_memory_mib",
    ),
    HISTORY_FILE: ("seconds", "processor_seconds"),
    "samples.csv": ("processor_seconds",),
}
"""Columns that no two runs have in common; a table is compared without them."""
MADE = {"runs": "run(s)", "predictions": "prediction(s)"}
"""What each has a record of where it was made, and how a count of them is called."""
PRINTED = (".csv", ".png")
"""Suffixes of one form of every table and of every figure."""


def describe(
    results: Path,
    settings: Mapping[str, Any],
    runs: Mapping[str, str],
    predicted: Sequence[str],
    summaries: Iterable[str | Path],
    products: Iterable[str | Path],
) -> dict[str, Any]:
    """Describe the state, results, files and times of a finished study.

    Args:
        results: its folder, `results/<study>`.
        settings: the study's, as they may be shown.
        runs: label -> folder of every run.
        predicted: its methods and their repeats.
        summaries: the tables of its evaluation that are of all methods.
        products: its tables, figures and pages in all their forms, files or folders.
    """
    root = repository()
    trained = {label: machines(Path(folder)) for label, folder in runs.items()}
    noted = {name: machines(results / "prediction" / name) for name in predicted}
    state = {
        "code": {
            "version": git_version(root),
            "hash": code_hash(root),
            "files": code_files(root),
            "runs": _of_each(trained, "code"),
            "predictions": _of_each(noted, "code"),
        },
        "config": settings,
        "data": fingerprints(results / "data", is_distorted="distortions" in settings),
        "packages": packages()
        | {"runs": _of_each(trained, "packages"), "predictions": _of_each(noted, "packages")},
        "device": {
            "processor": processor(),
            "system": f"{platform.system()} {platform.machine()}",
            "runs": _of_each(trained, "device", "precision"),
            "predictions": _of_each(noted, "device", "precision"),
        },
    }
    made = sorted(Path(product) for product in products)
    # where results begin to differ: trainings, then scores, then what is printed
    compared = [Path(folder, HISTORY_FILE) for folder in runs.values()]
    compared += sorted(map(Path, summaries))
    compared += [file for file in made if file.suffix in PRINTED]
    return {
        "study": results.name,
        "state": state,
        "results": {
            str(file.relative_to(results)): content_hash(file)
            for file in dict.fromkeys(compared)
            if file.is_file()
        },
        "files": {str(path.relative_to(results)): _hash_of_product(path) for path in made},
        "handed on": intermediate_hashes(results, runs.values(), predicted),
        "times": {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "device asked for": requested_device(),
            "training_seconds": round(sum(_seconds(Path(folder)) for folder in runs.values()), 1),
            "rules": rule_times(results, list(runs.values()), predicted),
        },
    }


def fingerprints(data: Path, *, is_distorted: bool) -> dict[str, Any]:
    """Hashes of what every image and label holds, of the split and of the plan."""
    hashes: dict[str, Any] = {}
    for name in ("cases", "distorted_cases") if is_distorted else ("cases",):
        if (data / f"{name}.csv").is_file():
            rows = _table(data / f"{name}.csv")
            hashes[name] = {
                "volumes": len(rows),
                "hash": _hash_of_rows(rows[["image_hash", "label_hash"]]),
            }
    for name in ("split.csv", "test_sets.csv"):
        if (data / name).is_file():
            hashes[name] = _hash_of_rows(_table(data / name))
    if (data / "plan.json").is_file():
        hashes["plan.json"] = content_hash(data / "plan.json")[:16]
    return hashes


def intermediate_hashes(
    results: Path, runs: Iterable[str | Path], predicted: Iterable[str]
) -> dict[str, str]:
    """SHA-256 of what jobs hand on: tables, plans and notes, and the file of hashes of a folder."""
    predictions = [results / "prediction" / name for name in predicted]
    for folder in predictions:
        read_json(folder / "fitted.json", {"type": "object"})
    evaluation = results / "evaluation"
    tables = [results / "data", evaluation, *(evaluation / folder.name for folder in predictions)]
    hash_files = [file for folder in (*tables, *predictions) for file in folder.glob(".*.sha256")]
    files = [file.with_name(file.stem.removeprefix(".")) for file in hash_files]
    hashes = {file: sha256(read(file)) for file in files if file.is_file()}
    for folder in (results / "data", *map(Path, runs), *predictions):
        for file in (*folder.glob(HASHES_FILE), *folder.glob(f"*/{HASHES_FILE}")):
            hashes[file] = sha256(file.read_bytes())
    return {str(file.relative_to(results)): hashes[file] for file in sorted(hashes)}


def content_hash(path: Path) -> str:
    """SHA-256 of a file, of a table with measured columns without them."""
    if path.name not in MEASURED:
        return sha256(read(path))
    rest = _table(path).drop(columns=list(MEASURED[path.name]), errors="ignore")
    return sha256(rest.to_csv(index=False).encode())


def rule_times(
    results: Path, runs: Sequence[str], predicted: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Jobs, seconds and peak memory (MiB) of each rule, by Snakemake's benchmarks.

    Those of runs and methods that the study has no more are left out.
    """
    folder = results / "benchmarks"
    wanted = {str(Path(run).relative_to(results / "training")) for run in runs}
    jobs: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for file in sorted(folder.rglob("*.tsv")):
        rule, _, job = str(file.relative_to(folder).with_suffix("")).partition("/")
        if (rule == "train" and job not in wanted) or (
            rule in ("predict", "evaluate") and job not in predicted
        ):
            continue
        jobs[rule].append(read_benchmark(file))
    measured = {rule: pd.concat(tables) for rule, tables in jobs.items()}
    return {
        rule: {
            "jobs": len(table),
            "seconds": round(float(table["s"].sum()), 1),
            "peak_mib": float(table["max_rss"].max()) if table["max_rss"].notna().any() else None,
        }
        for rule, table in measured.items()
    }


def printed(provenance: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Rows (part, what, value) of all that a reader wants to see, so without the code's files."""
    state, times = provenance["state"], provenance["times"]
    code, device = state["code"], state["device"]
    rows = [("Code", name, code[name]) for name in ("version", "hash")]
    rows += [("Code", *row) for row in _counted(code)]
    rows.append(("Config", "seed", str(state["config"].get("seed"))))
    rows += [("Data", *row) for row in flattened(state["data"])]
    here = {name: of for name, of in state["packages"].items() if name not in MADE}
    rows.append(("Packages", "", ", ".join(f"{name} {of}" for name, of in here.items())))
    rows += [("Packages", *row) for row in _counted(state["packages"])]
    rows += [("Device", name, device[name]) for name in ("processor", "system")]
    rows += [("Device", *row) for row in _counted(device)]
    rows.append(("Wall time", "written", times["written"]))
    rows.append(("Wall time", "training, all runs", f"{times['training_seconds']:.0f} s"))
    for rule, cost in times["rules"].items():
        memory = f", {cost['peak_mib']:.0f} MiB" if cost["peak_mib"] else ""
        rows.append(("Wall time", rule, f"{cost['jobs']} job(s), {cost['seconds']:.0f} s{memory}"))
    for name, text in provenance["files"].items():
        if PurePath(name).suffix in PRINTED:
            rows.append(("SHA-256", name.removeprefix("reporting/"), text))
    return [
        (part if n == 0 or rows[n - 1][0] != part else "", what, value)
        for n, (part, what, value) in enumerate(rows)
    ]


def flattened(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted path, text) of every value of nested settings."""
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from flattened(below, f"{path}.{key}" if path else str(key))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def _counted(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How many runs and predictions have the same text, and the text."""
    for kind, one in MADE.items():
        for text, count in pd.Series(part[kind], dtype=str).value_counts(sort=False).items():
            yield f"{count} {one}", str(text)


def _of_each(noted: Mapping[str, Sequence[Mapping[str, str]]], *keys: str) -> dict[str, str]:
    """What is known of each machine that worked on something."""
    return {
        name: "; ".join(
            dict.fromkeys(
                ", ".join(machine.get(key, NOT_RECORDED) for key in keys) for machine in found
            )
        )
        or NOT_RECORDED
        for name, found in noted.items()
    }


def _seconds(folder: Path) -> float:
    file = folder / HISTORY_FILE
    return float(read_rows(file)["seconds"].sum()) if file.is_file() else 0.0


def _table(path: Path) -> pd.DataFrame:
    """Read a table as it is written."""
    return read_rows(path, numbers={})


def _hash_of_product(path: Path) -> str:
    """SHA-256 of a file; of a folder that of its file of hashes."""
    return sha256((path / HASHES_FILE).read_bytes() if path.is_dir() else read(path))


def _hash_of_rows(table: pd.DataFrame) -> str:
    """Hash the rows of a table in any order."""
    return sha256("\n".join(sorted(table.agg(" ".join, axis=1))).encode())[:16]
