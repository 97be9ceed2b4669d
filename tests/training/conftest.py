"""A tiny run on random arrays."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cardiouq.data.plan import Plan
from cardiouq.methods.base import Member
from cardiouq.training.run import Run

torch.set_num_threads(1)


@pytest.fixture
def recipe() -> dict[str, Any]:
    return {
        "schedule": {
            "name": "cyclical",
            "epochs": 6,
            "cycles": 2,
            "gamma": 0.5,
            "alpha_0": 0.01,
            "alpha_r": 0.02,
            "epsilon": 0.9,
            "denominator": "T",
        },
        "optimiser": {"name": "sgd", "momentum": 0.99, "weight_decay": 3e-5},
        "iterations_per_epoch": 2,
        "batch_size": 3,
        "foreground_share": 0.33,
        "dropout": {"p": 0.1, "place": "all"},
        "augmentation": {"rotation_degrees": 180, "scale": [0.7, 1.4], "mirror": True},
        "validation_batches": 1,
    }


@pytest.fixture
def make_run(arrays: Path, plan: Plan, recipe: dict[str, Any]) -> Callable[..., Run]:
    """The tiny run, with some of its fields changed."""

    def make(**changes: Any) -> Run:
        run = Run(
            recipe_name="cyclical",
            recipe=recipe,
            member=Member(),
            seed=2022,
            keep_epochs=(2, 5),
            branch_epochs=(),
            plan=plan,
            arrays=arrays,
            train_cases=("a", "b"),
            validation_cases=("c",),
            fingerprint="0123456789ab",
        )
        return replace(run, **changes)

    return make
