"""The laptop study's network and the papers', with a recipe of nnU-Net's kind and made-up cases."""

from pathlib import Path
from typing import Any

import numpy as np

from cardiouq.data.plan import Plan
from cardiouq.methods.base import Member
from cardiouq.training.run import Run

SLICES, CASES = 10, 20
LAPTOP = Plan(
    spacing=(2.0, 2.0),
    patch_size=(128, 128),
    features_per_stage=(16, 32, 64, 128, 128),
    kernel_sizes=((3, 3),) * 5,
    strides=((1, 1), *((2, 2),) * 4),
    batch_size=8,
    n_stages=5,
)
PAPER = Plan(
    spacing=(1.5, 1.5),
    patch_size=(256, 224),
    features_per_stage=(32, 64, 128, 256, 512, 512, 512),
    kernel_sizes=((3, 3),) * 7,
    strides=((1, 1), (2, 2), (2, 2), (2, 2), (2, 2), (2, 2), (2, 1)),
    batch_size=20,
    n_stages=7,
)
PLANS = {"laptop": LAPTOP, "paper": PAPER}
SHAPES = {"laptop": (180, 150), "paper": (256, 224)}
"""Rows and columns of a usual slice on the plan's grid."""
ITERATIONS = {"laptop": 4, "paper": 1}
"""Of a turn."""


def recipe(size: str, epochs: int, gamma: float) -> dict[str, Any]:
    """zhao2022's cyclical recipe, which has nnU-Net's optimiser and augmentation."""
    return {
        "schedule": {
            "name": "cyclical",
            "epochs": epochs,
            "cycles": 1,
            "gamma": gamma,
            "alpha_0": 0.01,
            "alpha_r": 0.1,
            "epsilon": 0.9,
            "denominator": "T",
        },
        "optimiser": {"name": "sgd", "momentum": 0.99, "weight_decay": 3e-5},
        "iterations_per_epoch": ITERATIONS[size],
        "batch_size": PLANS[size].batch_size,
        "foreground_share": 0.33,
        "dropout": {"p": 0.0, "place": "all"},
        "augmentation": {"rotation_degrees": 180, "scale": [0.7, 1.4], "mirror": True},
        "validation_batches": 1,
    }


def run_of(size: str, folder: Path, epochs: int = 300, gamma: float = 0.8) -> Run:
    """A run on the cases of `write_cases`, which keeps every epoch."""
    cases = tuple(case_names())
    return Run(
        recipe_name="cyclical",
        recipe=recipe(size, epochs, gamma),
        member=Member(),
        seed=2022,
        keep_epochs=tuple(range(epochs)),
        branch_epochs=(),
        plan=PLANS[size],
        arrays=folder,
        train_cases=cases[1:],
        validation_cases=cases[:1],
        fingerprint="0123456789ab",
    )


def case_names() -> list[str]:
    return [f"case-{index:02}" for index in range(CASES)]


def write_cases(size: str, folder: Path) -> None:
    """Preprocessed cases: noise, in which each structure is a disc or a ring."""
    rng = np.random.default_rng(0)
    rows, columns = SHAPES[size]
    folder.mkdir()
    for case in case_names():
        middle = rng.uniform(0.4, 0.6, 2)
        distance = np.hypot(
            np.arange(rows)[:, None] - middle[0] * rows,
            np.arange(columns)[None] - middle[1] * columns,
        )
        slice_labels = np.digitize(distance, np.array([0.06, 0.09, 0.13]) * rows)
        labels = np.broadcast_to((3 - slice_labels).astype(np.uint8), (SLICES, rows, columns))
        image = rng.normal(labels, 0.5).astype(np.float32)
        np.save(folder / f"{case}_image.npy", (image - image.mean()) / image.std())
        np.save(folder / f"{case}_label.npy", labels)
