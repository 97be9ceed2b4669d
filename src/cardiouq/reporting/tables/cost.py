"""Table of what each method costs to train and to predict with, beside what it achieves."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.files.run_files import HISTORY_FILE
from cardiouq.files.tables import read_benchmark, read_rows
from cardiouq.reporting.printing import NOTHING, Cell, PrintedTable, hours
from cardiouq.structures import ALL, STRUCTURES

QUALITY = {"dice": ("Dice", 3), "ece_percent": ("ECE %", 2), "aurc": ("AURC", 3)}
"""Column -> heading and printed decimals."""
MEBIBYTE = 2**20


def training_cost(
    runs: Sequence[Mapping[str, Any]], benchmarks: Mapping[str, str | Path]
) -> dict[str, float]:
    """Iterations, processor time (epochs only) and peak memory of all runs together.

    Processor time is NaN if a run's was not measured, as earlier versions did not; all are if there
    are no runs, as of what was trained elsewhere it is not known.

    Args:
        runs: from `study.runs.needed_runs`; each folder holds the run's `history.csv`.
        benchmarks: folder -> Snakemake's benchmark of its training.
    """
    iterations, seconds = 0, 0.0
    for run in runs:
        history = read_rows(Path(run["folder"], HISTORY_FILE))
        counted = history[history["epoch"] <= run["last_epoch"]]
        iterations += len(counted) * run["iterations_per_epoch"]
        seconds += _processor_seconds(counted)
    memory = peak_memory([benchmarks[run["folder"]] for run in runs]) if runs else np.nan
    return {
        "training_iterations": iterations if runs else np.nan,
        "training_processor_seconds": seconds if runs else np.nan,
        "training_memory_mib": memory,
    }


def prediction_cost(
    samples: pd.DataFrame,
    n_slices: int,
    benchmark: str | Path,
    checkpoints: Sequence[str | Path],
    model_bytes: int = 0,
) -> dict[str, float]:
    """Samples, processor time per slice (of all of them, without fitting), memory, checkpoints.

    Args:
        samples: `samples.csv` of the method.
        n_slices: how many slices each sample predicted.
        benchmark: Snakemake's benchmark of the prediction.
        checkpoints: files of runs that the prediction reads.
        model_bytes: of the files of a model that was trained elsewhere.
    """
    return {
        "samples": len(samples),
        "prediction_processor_seconds_per_slice": _processor_seconds(samples) / n_slices,
        "prediction_memory_mib": peak_memory([benchmark]),
        "checkpoint_bytes": sum(Path(path).stat().st_size for path in checkpoints) + model_bytes,
    }


def _processor_seconds(rows: pd.DataFrame) -> float:
    """Sum over epochs or samples; NaN if one was not measured."""
    measured = rows.get("processor_seconds")
    return np.nan if measured is None else float(measured.sum(skipna=False))


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
    """Dice and AURC by the estimated Dice (both a mean over structures) and ECE over volumes.

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
        "aurc": ("aurc_estimated_dice", STRUCTURES),
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
        table: `quality`'s rows with passes and the columns of `training_cost` and
            `prediction_cost`.
        methods: key -> printed label, in order.
        domains: test set -> ID or OOD.
    """
    costs = table.drop_duplicates("method").set_index("method")
    n_empty = table.groupby("method")["n_empty"].sum()
    of_domain = table["test_set"].map(domains.__getitem__).rename("domain")
    decimals = {column: digits for column, (_, digits) in QUALITY.items()}
    means = table.groupby(["method", of_domain])[list(QUALITY)].mean()
    found: dict[Any, Any] = means.to_dict("index")
    test_sets = Counter(domains.values())
    rows = []
    for method, label in methods.items():
        row = [Cell(label), *_cost_cells({str(k): v for k, v in costs.loc[method].items()})]
        for domain in test_sets:
            for column, digits in decimals.items():
                row.append(Cell(f"{found[method, domain][column]:.{digits}f}"))
        rows.append([*row, Cell(f"{n_empty[method]:g}")])
    training = ["iterations", "processor time (h:min:s)", "memory (GiB)"]
    prediction = ["passes / slice", "samples", "processor s / slice"]
    prediction += ["memory (GiB)", "checkpoints (MiB)"]
    quality = [heading for heading, _ in QUALITY.values()]
    groups = [("", 1), ("Training", len(training)), ("Prediction", len(prediction))]
    for domain, count in test_sets.items():
        groups.append((domain if count == 1 else f"{domain}, mean of {count}", len(quality)))
    columns = ["Method", *training, *prediction, *(quality * len(test_sets)), "Empty"]
    return PrintedTable(caption, "tab:cost", [*groups, ("", 1)], columns, rows)


def _cost_cells(cost: Mapping[str, Any]) -> list[Cell]:
    return [
        _measured(cost["training_iterations"], "{:,.0f}".format),
        _measured(cost["training_processor_seconds"], hours),
        _measured(cost["training_memory_mib"], _gibibytes),
        Cell(f"{cost['passes']:.0f}"),
        Cell(f"{cost['samples']:.0f}"),
        _measured(cost["prediction_processor_seconds_per_slice"], "{:.3g}".format),
        _measured(cost["prediction_memory_mib"], _gibibytes),
        Cell(f"{cost['checkpoint_bytes'] / MEBIBYTE:.1f}"),
    ]


def _measured(value: float, printed: Callable[[float], str]) -> Cell:
    return Cell(NOTHING if pd.isna(value) else printed(value))


def _gibibytes(mebibytes: float) -> str:
    return f"{mebibytes / 1024:.2f}"
