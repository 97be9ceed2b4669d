"""What a method costs: each run once, a base run up to its branches, and quality beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.reporting.printing import NOTHING
from cardiouq.reporting.tables.cost import (
    count_slices,
    peak_memory,
    prediction_cost,
    print_cost,
    quality,
    training_cost,
)
from cardiouq.study.runs import NeededRun
from cardiouq.study.study import Study

MakeStudy = Callable[[dict[str, Any]], Study]
METHODS = {"plain": "Plain", "best": "Best"}
DOMAINS = {"val": "ID", "A": "OOD", "B": "OOD"}


def test_figures_of_a_trajectory_show_the_cyclical_run_and_not_hmc(
    tiny: dict[str, Any], make_study: MakeStudy
) -> None:
    assert make_study(tiny).trajectory_method() == "checkpoint_ensemble_multi"


def test_training_sums_over_runs_and_stops_where_others_branch(tmp_path: Path) -> None:
    runs, benchmarks = [], {}
    for name, epochs, last, memory in (("base", range(8), 5, 900), ("branch", range(6, 8), 7, 700)):
        folder = tmp_path / name
        folder.mkdir()
        history = pd.DataFrame({"epoch": epochs, "seconds": 99.0, "processor_seconds": 10.0})
        history.to_csv(folder / "history.csv", index=False)
        runs.append(NeededRun(folder=str(folder), last_epoch=last, iterations_per_epoch=3))
        benchmarks[str(folder)] = write_benchmark(tmp_path / f"{name}.tsv", memory)
    assert training_cost(runs, benchmarks) == {
        "training_iterations": (6 + 2) * 3,
        "training_processor_seconds": 80.0,
        "training_memory_mib": 900,
    }


def write_benchmark(path: Path, memory: float | str) -> Path:
    path.write_text(
        f"s\th:m:s\tmax_rss\tmax_vms\n7.1\t0:00:07\t{memory}\t3656.1\n", encoding="utf-8"
    )
    return path


def test_memory_that_was_not_measured_is_nothing(tmp_path: Path) -> None:
    measured = write_benchmark(tmp_path / "one.tsv", 858.25)
    assert peak_memory([measured]) == 858.25
    for other in (tmp_path / "missing.tsv", write_benchmark(tmp_path / "short.tsv", "NA")):
        assert np.isnan(peak_memory([measured, other]))


def test_prediction_costs_the_processor_time_of_all_samples_per_slice(tmp_path: Path) -> None:
    samples = pd.DataFrame({"sample": [0, 1], "processor_seconds": [3.0, 5.0]})
    checkpoints = [tmp_path / "a", tmp_path / "b"]
    for path, size in zip(checkpoints, (100, 28), strict=True):
        path.write_bytes(bytes(size))
    cost = prediction_cost(samples, 16, write_benchmark(tmp_path / "p.tsv", 512), checkpoints)
    assert cost == {
        "samples": 2,
        "prediction_processor_seconds_per_slice": 0.5,
        "prediction_memory_mib": 512,
        "checkpoint_bytes": 128,
    }


def test_processor_time_that_earlier_versions_did_not_measure_is_a_dash(tmp_path: Path) -> None:
    pd.DataFrame({"epoch": [0], "seconds": 10.0}).to_csv(tmp_path / "history.csv", index=False)
    run = NeededRun(folder=str(tmp_path), last_epoch=0, iterations_per_epoch=3)
    cost = training_cost([run], {str(tmp_path): tmp_path / "none.tsv"})
    assert np.isnan(cost["training_processor_seconds"])
    samples = pd.DataFrame({"sample": [0], "seconds": [3.0]})
    cost |= prediction_cost(samples, 16, tmp_path / "none.tsv", [])
    assert np.isnan(cost["prediction_processor_seconds_per_slice"])
    printed = print_cost(cost_table().assign(**cost), METHODS, DOMAINS, "Cost.")
    cells = dict(zip(printed.columns, printed.rows[0], strict=False))
    assert cells["processor time (h:min:s)"].text == NOTHING
    assert cells["processor s / slice"].text == NOTHING


def test_training_that_was_done_elsewhere_is_a_dash_and_its_checkpoints_count(
    tmp_path: Path,
) -> None:
    cost = training_cost([], {})
    assert np.isnan(list(cost.values())).all()
    samples = pd.DataFrame({"sample": [0], "processor_seconds": [3.0]})
    cost |= prediction_cost(samples, 16, tmp_path / "none.tsv", [], model_bytes=2**21)
    printed = print_cost(cost_table().assign(**cost), METHODS, DOMAINS, "Cost.")
    cells = dict(zip(printed.columns, printed.rows[0], strict=False))
    assert cells["iterations"].text == cells["processor time (h:min:s)"].text == NOTHING
    assert cells["checkpoints (MiB)"].text == "2.0"


def test_slices_of_a_case_in_two_test_sets_count_once() -> None:
    cases = pd.DataFrame({"case": ["a", "b", "train"], "slices": [9, 12, 10]})
    test_sets = pd.DataFrame({"test_set": ["val", "val", "all"], "case": ["a", "b", "a"]})
    assert count_slices(cases, test_sets) == 21


def test_quality_is_the_mean_over_structures_of_volumes() -> None:
    rows = [
        ("volume", structure, metric, value + step, 1)
        for metric, value in (("dice", 0.6), ("aurc_estimated_dice", 0.2))
        for structure, step in (("RV", 0.0), ("MYO", 0.1), ("LV", 0.2), ("foreground", 0.3))
    ]
    rows += [("volume", "all", "ece_percent", 2.5, 0), ("slice", "RV", "dice", 0.0, 9)]
    columns = ["level", "structure", "metric", "value", "n_empty"]
    summary = pd.DataFrame(rows, columns=columns).assign(method="plain", test_set="val")
    [row] = quality(summary).to_dict("records")
    assert row == {
        "method": "plain",
        "test_set": "val",
        "dice": pytest.approx(0.7),
        "ece_percent": 2.5,
        "aurc": pytest.approx(0.3),
        "n_empty": 3,
    }


def cost_table() -> pd.DataFrame:
    rows = [
        {"method": method, "test_set": test_set, "dice": dice, "ece_percent": ece, "aurc": 0.2}
        for method, dice, ece in (("plain", 0.8, 2.0), ("best", 0.9, 3.0))
        for test_set in DOMAINS
    ]
    table = pd.DataFrame(rows).assign(n_empty=1, samples=5, passes=4)
    table.loc[table["test_set"] == "B", "dice"] -= 0.1
    return table.assign(
        training_iterations=250_000,
        training_processor_seconds=3725.4,
        prediction_processor_seconds_per_slice=0.01234,
        training_memory_mib=2048.0,
        prediction_memory_mib=np.nan,
        checkpoint_bytes=3 * 2**20,
    )


def test_printed_costs_have_units_and_a_dash_for_what_is_unknown() -> None:
    printed = print_cost(cost_table(), METHODS, DOMAINS, "Cost.")
    assert {len(row) for row in printed.rows} == {len(printed.columns)}
    assert sum(width for _, width in printed.groups) == len(printed.columns)
    first = dict(zip(printed.columns[:9], (cell.text for cell in printed.rows[0]), strict=False))
    assert first == {
        "Method": "Plain",
        "iterations": "250,000",
        "processor time (h:min:s)": "1:02:05",
        "memory (GiB)": NOTHING,  # of prediction, the later of two columns of this name
        "passes / slice": "4",
        "samples": "5",
        "processor s / slice": "0.0123",
        "checkpoints (MiB)": "3.0",
    }
    assert printed.rows[0][3].text == "2.00"


def test_printed_quality_is_the_mean_of_a_domain() -> None:
    printed = print_cost(cost_table(), METHODS, DOMAINS, "Cost.")
    assert [group for group, _ in printed.groups[3:5]] == ["ID", "OOD, mean of 2"]
    cells = {row[0].text: row[9:] for row in printed.rows}
    assert [cell.text for cell in cells["Plain"]] == [
        "0.800",
        "2.00",
        "0.200",
        "0.750",
        "2.00",
        "0.200",
        "3",
    ]
