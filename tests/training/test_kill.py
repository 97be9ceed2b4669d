"""The real training script, killed three times, ends with the bits of an undisturbed run."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from cardiouq.training import trajectory
from cardiouq.training.run import Run
from cardiouq.training.train import train

EPOCHS = 24
DRIVER = """
import runpy, sys
import cardiouq.training.trajectory as module
module.SECONDS_BETWEEN_STATES = -1  # a tiny run is over before the usual minute has passed
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


@pytest.fixture
def run(make_run: Callable[..., Run], recipe: dict[str, Any]) -> Run:
    recipe["schedule"] |= {"epochs": EPOCHS, "cycles": 3}
    return make_run(recipe=recipe, keep_epochs=(7, 15, 23))


@pytest.fixture
def command(run: Run, arrays: Path, repository: Path, tmp_path: Path) -> list[str]:
    """The command line of rule train."""
    rows = [
        {"dataset": "d", "case": case, "subject": case, "image_hash": case, "label_hash": case}
        | dict.fromkeys(("image_identity", "spacing_y", "spacing_x"), 1)
        for case in "abc"
    ]
    empty = {"pathology": "", "vendor": "", "centre": "", "labels": ""}
    pd.DataFrame([row | empty for row in rows]).to_csv(tmp_path / "cases.csv", index=False)
    sides = {"a": "train", "b": "train", "c": "validation"}
    pd.DataFrame(
        [
            {"dataset": "d", "subject": s, "pathology": "", "split": side}
            for s, side in sides.items()
        ]
    ).to_csv(tmp_path / "split.csv", index=False)
    (tmp_path / "plan.json").write_text(run.plan.to_json(), encoding="utf-8")
    settings = {
        "recipe_name": run.recipe_name,
        "recipe": run.recipe,
        "member": str(run.member),
        "seed": run.seed,
        "keep_epochs": list(run.keep_epochs),
        "branch_epochs": list(run.branch_epochs),
    }
    script = str(repository / "workflow" / "scripts" / "train.py")
    arguments = {
        "settings": json.dumps(settings),
        "arrays": arrays,
        "cases": tmp_path / "cases.csv",
        "split": tmp_path / "split.csv",
        "plan": tmp_path / "plan.json",
        "log": tmp_path / "train.log",
        "output": tmp_path / "seed-0",
    }
    options = [text for key, value in arguments.items() for text in (f"--{key}", str(value))]
    return [sys.executable, "-c", DRIVER, script, *options]


def start(command: list[str]) -> "subprocess.Popen[str]":
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CARDIOUQ_DEVICE": "cpu"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )


def kill_once(process: "subprocess.Popen[str]", sign: Path) -> int:
    """SIGKILL as soon as a file is there; returns the exit status."""
    deadline = time.monotonic() + 120
    while not sign.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.communicate()
    return process.returncode


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_script_killed_three_times_ends_with_the_same_bits(
    command: list[str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, side = tmp_path / "seed-0", tmp_path / ".seed-0.unfinished"
    signs = [
        side / "resume.safetensors",
        side / "products" / "checkpoints" / "epoch-0007.safetensors",
        side / "products" / "checkpoints" / "epoch-0015.safetensors",
    ]
    for sign in signs:
        assert kill_once(start(command), sign) == -9
        assert sign.exists()
        assert not output.exists()
    process = start(command)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    assert "resuming at epoch" in text

    # an undisturbed run whose settings the script read from JSON; the data's fingerprint is its
    identity = json.loads((output / "run.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(trajectory, "SECONDS_BETWEEN_STATES", 60)
    undisturbed = tmp_path / "undisturbed"
    train(run, undisturbed, torch.device("cpu"))
    for name in ("checkpoints/epoch-0023.safetensors", "last_layer.npy"):
        assert sha256(output / name) == sha256(undisturbed / name), name
    history = pd.read_csv(output / "history.csv")
    assert history["epoch"].tolist() == list(range(EPOCHS))
    assert not side.exists()
    assert identity | {"data_fingerprint": ""} == run.identity() | {"data_fingerprint": ""}
