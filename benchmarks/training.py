"""Training as `cardiouq.training.train` does it: whole iterations, steps alone, augmentation alone.

The functions are contestants of `rounds.py`; `nnunet.py` has the peer's of the same names.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from sizes import run_of
from torch import Tensor

from cardiouq.device.choose import make_deterministic
from cardiouq.recipes.optimiser import set_rate
from cardiouq.training.train import Setup, set_up, train_epoch

CPU = torch.device("cpu")


def iteration(size: str, folder: str) -> Callable[[], None]:
    """Loader, augmentation and step."""
    return epoch_of(prepared(size, folder))


def with_dropout(size: str, folder: str) -> Callable[[], None]:
    """An iteration of a network with dropout in all stages."""
    return epoch_of(prepared(size, folder, dropout=0.1))


def step(size: str, folder: str) -> Callable[[], None]:
    """Steps with one batch, which is ready."""
    setup = prepared(size, folder)
    batch = next_batch(setup)()
    nowhere = SimpleNamespace(sample_batch=lambda *_: ())
    return epoch_of(setup._replace(patches=nowhere, augmentation=lambda *_: batch))


def augmentation(size: str, folder: str) -> Callable[[], object]:
    """Batches, without steps."""
    return next_batch(prepared(size, folder))


def prepared(size: str, folder: str, dropout: float = 0) -> Setup:
    """What a run trains with, at the first epoch's rate."""
    make_deterministic()
    run = run_of(size, Path(folder))
    run = replace(run, recipe={**run.recipe, "dropout": {"p": dropout, "place": "all"}})
    setup = set_up(run, CPU)
    set_rate(setup.optimiser, run.schedule, 1)
    return setup


def epoch_of(setup: Setup) -> Callable[[], None]:
    """A function that trains for an epoch, which has few iterations here."""
    return lambda: train_epoch(setup, 1, lambda: None) and None


def next_batch(setup: Setup) -> Callable[[], tuple[Tensor, Tensor]]:
    """A function that makes one batch."""
    where, how = np.random.default_rng(0), np.random.default_rng(1)
    noise = torch.Generator().manual_seed(0)
    plan = setup.run.plan

    def make() -> tuple[Tensor, Tensor]:
        locations = setup.patches.sample_batch(plan.batch_size, where)
        return setup.augmentation(locations, plan.patch_size, how, noise)

    return make
