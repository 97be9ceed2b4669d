"""The script of a prediction gives each run the cases that it was not trained on."""

import json
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cardiouq.device.environment import DEVICE_VARIABLE
from cardiouq.prediction import predict, runs

HeldOut = Callable[[Sequence[str]], list[list[str]]]


@pytest.fixture
def held_out(split_tables: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> HeldOut:
    """Runs the script, and finds the cases that each member's run is given as held out."""
    found: list[list[str]] = []

    def run_on_disk(*arguments: Any) -> None:
        *_, held, _ = arguments
        assert held.arrays == split_tables / "own"
        found.append(sorted(held.cases))

    monkeypatch.setattr(runs, "RunOnDisk", run_on_disk)

    def draws_by_its_own_seed(sampler: Any, test_sets: Any, seed: int, *others: Any) -> None:
        assert seed == 7  # of a repeat, whose folds are those of the study's seed

    monkeypatch.setattr(predict, "predict", draws_by_its_own_seed)
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    noisy = pd.read_csv(split_tables / "cases.csv").query("subject == 'v0'")
    noisy.assign(case="v0_ED+noise-1").to_csv(split_tables / "distorted.csv", index=False)
    tested = pd.DataFrame({"test_set": "one", "case": ["v0_ED"]})
    tested.to_csv(split_tables / "test_sets.csv", index=False)

    def run(members: Sequence[str]) -> list[list[str]]:
        schedule = {"name": "polynomial", "epochs": 2, "alpha_0": 0.01, "epsilon": 0.9}
        settings = {
            "name": "any",
            "method": {"method": "deep_ensemble", "size": len(members)},
            "recipe": {"schedule": schedule},
            "members": members,
            "seed": 1,
            "sampling_seed": 7,
            "tile_overlap": 0.5,
        }
        files = {
            "runs": [f"seed-{member}/trained" for member in members],
            "arrays": ["own", "distorted"],
            "cases": ["cases.csv", "distorted.csv"],
            "test-sets": ["test_sets.csv"],
            "split": ["split.csv"],
            "plan": ["plan.json"],
            "log": ["log"],
            "output": ["output"],
        }
        given = ["--settings", json.dumps(settings)]
        for name, paths in files.items():
            given += [f"--{name}", *(str(split_tables / path) for path in paths)]
        monkeypatch.setattr(sys, "argv", ["predict.py", *given])
        runpy.run_path(str(repository / "workflow" / "scripts" / "predict.py"))
        return found

    return run


def test_validation_cases_are_held_out_from_runs_of_all_training_subjects(
    held_out: HeldOut,
) -> None:
    assert held_out(["0", "1"]) == [["v0_ED", "v1_ED"]] * 2


def test_each_training_case_is_held_out_from_one_fold_s_run(held_out: HeldOut) -> None:
    found = held_out([f"0-fold-{fold}-of-3" for fold in range(3)])
    assert all(found)
    assert sorted(case for cases in found for case in cases) == [
        f"t{number}_ED" for number in range(5)
    ]
