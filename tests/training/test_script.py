"""The script of a training gives a run the cases of its side of the split, or of its folds."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from cardiouq.device.environment import DEVICE_VARIABLE
from cardiouq.training import train
from cardiouq.training.run import Run

TRAINING = {f"t{number}_ED" for number in range(5)}


@pytest.mark.parametrize(
    ("members", "validated"),
    [(["0"], {"v0_ED", "v1_ED"}), ([f"0-fold-{fold}-of-3" for fold in range(3)], TRAINING)],
)
def test_a_run_is_not_trained_on_what_it_is_validated_on(
    split_tables: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    members: list[str],
    validated: set[str],
) -> None:
    """Folds are validated on each training case once, and never trained on a validation case."""
    found: list[Run] = []
    monkeypatch.setattr(train, "train", lambda run, output, device: found.append(run))
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    for member in members:
        settings = {
            "recipe_name": "any",
            "recipe": {},
            "member": member,
            "seed": 1,
            "keep_epochs": [1],
            "branch_epochs": [],
        }
        given = ["--settings", json.dumps(settings)]
        for name in ("arrays", "cases.csv", "split.csv", "plan.json", "log", "output"):
            given += [f"--{Path(name).stem}", str(split_tables / name)]
        monkeypatch.setattr(sys, "argv", ["train.py", *given])
        runpy.run_path(str(repository / "workflow" / "scripts" / "train.py"))
    held_out = [case for run in found for case in run.validation_cases]
    assert sorted(held_out) == sorted(validated)
    for run in found:
        assert {*run.train_cases} == TRAINING - {*run.validation_cases}
