"""Table of what each method costs to train and to predict with, beside what it achieves."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.files.run_files import HISTORY_FILE
from cardiouq.files.tables import read_benchmark, read_rows
from cardiouq.reporting.printing import NOTHING, Cell, PrintedTable
from cardiouq.structures import ALL, STRUCTURES

QUALITY = {"dice": ("Dice", 3), "ece_percent": ("ECE %", 2), "aurc": ("AURC", 3)}
"""Column -> heading and printed decimals."""
MEBIBYTE = 2**20


def training_cost(
    runs: Sequence[Mapping[str, Any]], benchmarks: Mapping[str, str | Path]
) -> dict[str, float]:
    """Iterations, seconds (epochs only: without starting up) and peak memory of all runs together.

    Args:
        runs: from `study.runs.needed_runs`; each folder holds the run's `history.csv`.
        benchmarks: folder -> Snakemake's benchmark of its training.
    """
    iterations, seconds = 0, 0.0
    for run in runs:
        history = read_rows(Path(run["folder"], HISTORY_FILE))
        counted = history[history["epoch"] <= run["last_epoch"]]
        iterations += len(counted) * run["iterations_per_epoch"]
        seconds += counted["seconds"].sum()
    return {
        "training_iterations": iterations,
        "training_seconds": seconds,
        "training_memory_mib": peak_memory([benchmarks[run["folder"]] for run in runs]),
    }


def prediction_cost(
    samples: pd.DataFrame, n_slices: int, benchmark: str | Path, checkpoints: Sequence[str | Path]
) -> dict[str, float]:
    """Samples, seconds per slice (of all samples, without fitting), peak memory and checkpoints.

    Args:
        samples: `samples.csv` of the method.
        n_slices: how many slices each sample predicted.
        benchmark: Snakemake's benchmark of the prediction.
        checkpoints: files that the prediction reads.
    """
    return {
        "samples": len(samples),
        "prediction_seconds_per_slice": samples["seconds"].sum() / n_slices,
        "prediction_memory_mib": peak_memory([benchmark]),
        "checkpoint_bytes": sum(Path(path).stat().st_size for path in checkpoints),
    }


def peak_memory(benchmarks: Sequence[str | Path]) -> float:
    """Largest resident memory of a process in benchmarks, MiB; NaN unless all were measured."""
    paths = [Path(path) for path in benchmarks]
    if not all(path.is_file() for path in paths):
        return np.nan
    measured = [read_benchmark(path)["max_rss"].max() for path in paths]
    return float(np.max(measured))  # NaN if any is


def count_slices(cases: pd.DataFrame, test_sets: pd.DataFrame) -> int:
    """Count the slices of all cases of all test sets; a case of several is predicted once."""
    return int(cases.loc[cases["case"].isin(test_sets["case"]), "slices"].sum())


def quality(summary: pd.DataFrame) -> pd.DataFrame:
    """Dice and AURC of the predictive entropy (both a mean over structures) and ECE over volumes.

    Args:
        summary: rows of `summary.csv`.

    Returns:
        One row per method and test set with the columns of `QUALITY` and n_empty, in how many
        volumes a structure is missing in reference or prediction, summed over structures.
    """
    volumes = summary[summary["level"] == "volume"]
    numbers = {
        "dice": ("dice", STRUCTURES),
        "ece_percent": ("ece_percent", [ALL]),
        "aurc": ("aurc_predictive_entropy_bits", STRUCTURES),
    }
    columns = {}
    for column, (metric, structures) in numbers.items():
        rows = volumes[volumes["metric"] == metric]
        by_test_set = rows[rows["structure"].isin(list(structures))].groupby(["method", "test_set"])
        columns[column] = by_test_set["value"].mean()
        if column == "dice":
            columns["n_empty"] = by_test_set["n_empty"].sum()
    return pd.DataFrame(columns).reset_index()


def print_cost(
    table: pd.DataFrame,
    methods: Mapping[str, str],
    domains: Mapping[str, str],
    caption: str,
) -> PrintedTable:
    """Lay out the cost of each method and its quality, as a mean over each domain's test sets.

    Args:
        table: `quality`'s rows with the columns of `training_cost` and `prediction_cost`.
        methods: key -> printed label, in order.
        domains: test set -> ID or OOD.
    """
    costs = table.drop_duplicates("method").set_index("method")
    n_empty = table.groupby("method")["n_empty"].sum()
    of_domain = table["test_set"].map(domains.__getitem__).rename("domain")
    decimals = {column: digits for column, (_, digits) in QUALITY.items()}
    means = table.groupby(["method", of_domain])[list(QUALITY)].mean().round(decimals)
    best = means.groupby("domain").agg({"dice": "max", "ece_percent": "min", "aurc": "min"})
    found: dict[Any, Any] = means.to_dict("index")
    test_sets = Counter(domains.values())
    rows = []
    for method, label in methods.items():
        row = [Cell(label), *_cost_cells({str(k): v for k, v in costs.loc[method].items()})]
        for domain in test_sets:
            for column, digits in decimals.items():
                value = found[method, domain][column]
                is_best = bool(value == best.loc[domain, column])
                row.append(Cell(f"{value:.{digits}f}", best=is_best))
        rows.append([*row, Cell(f"{n_empty[method]:g}")])
    training = ["iterations", "time (h:min:s)", "memory (GiB)"]
    prediction = ["samples", "s / slice", "memory (GiB)", "checkpoints (MiB)"]
    quality = [heading for heading, _ in QUALITY.values()]
    groups = [("", 1), ("Training", len(training)), ("Prediction", len(prediction))]
    for domain, count in test_sets.items():
        groups.append((domain if count == 1 else f"{domain}, mean of {count}", len(quality)))
    columns = ["Method", *training, *prediction, *(quality * len(test_sets)), "Empty"]
    return PrintedTable(caption, "tab:cost", [*groups, ("", 1)], columns, rows)


def _cost_cells(cost: Mapping[str, Any]) -> list[Cell]:
    minutes, seconds = divmod(round(cost["training_seconds"]), 60)
    return [
        Cell(f"{cost['training_iterations']:,.0f}"),
        Cell(f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"),
        Cell(_gibibytes(cost["training_memory_mib"])),
        Cell(f"{cost['samples']:.0f}"),
        Cell(f"{cost['prediction_seconds_per_slice']:.3g}"),
        Cell(_gibibytes(cost["prediction_memory_mib"])),
        Cell(f"{cost['checkpoint_bytes'] / MEBIBYTE:.1f}"),
    ]


def _gibibytes(mebibytes: float) -> str:
    return NOTHING if pd.isna(mebibytes) else f"{mebibytes / 1024:.2f}"
