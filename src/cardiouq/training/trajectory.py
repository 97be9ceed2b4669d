"""The trajectory of a run from epoch to epoch, and what of it is kept, how often."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from cardiouq.files.run_files import HISTORY_FILE, LAST_LAYER_FILE, checkpoint_file, state_file
from cardiouq.files.writing import atomic_write
from cardiouq.recipes.network import last_decoder_layer
from cardiouq.training.checkpoints import load_state, save_state, save_tensors
from cardiouq.training.history import read_history, write_history
from cardiouq.training.run import Run
from cardiouq.training.run_folder import SideFolder
from cardiouq.training.validation import Validation

log = logging.getLogger(__name__)

SECONDS_BETWEEN_STATES = 60
SECONDS_BETWEEN_REPORTS = 15


class Trajectory:
    """Epochs of a run, in the side folder where it grows.

    It goes on where an interrupted run stopped, or else from the run that this one branches from.

    Attributes:
        next_epoch: how many epochs are done.
        epochs_kept: how many of them an interruption leaves.
    """

    def __init__(
        self, run: Run, side: SideFolder, network: nn.Module, optimiser: torch.optim.Optimizer
    ) -> None:
        self.run, self.side = run, side
        self.network, self.optimiser = network, optimiser
        self.schedule = run.schedule
        self.history: list[dict[str, float]] = []
        self.selected: dict[str, torch.Tensor] = {}
        if side.state.is_file():
            restored = load_state(side.state, network, optimiser)
            self.next_epoch, self.last_layers, self.selected = restored
            kept = read_history(side.products / HISTORY_FILE)
            self.history = [row for row in kept if row["epoch"] < self.next_epoch]
            log.info("resuming at epoch %d of %d", self.next_epoch, self.schedule.epochs)
        elif run.base:
            self.next_epoch, self.last_layers, _ = load_state(Path(run.base), network, optimiser)
        else:
            self.next_epoch = 0
            self.last_layers = torch.zeros(self.schedule.epochs, len(last_decoder_layer(network)))
        self.first_epoch = self.epochs_kept = self.next_epoch
        self.start = self.last_kept = self.last_reported = time.monotonic()

    @property
    def is_complete(self) -> bool:
        """Tell whether the last epoch is done."""
        return self.next_epoch == self.schedule.epochs

    def add(
        self, train_loss: float, validation: Validation, seconds: float, processor_seconds: float
    ) -> None:
        """Add the next epoch, and write what others will ask for of it."""
        epoch = self.next_epoch
        self.history.append(
            {
                "epoch": epoch,
                "learning_rate": self.schedule.learning_rate(epoch),
                "train_loss": train_loss,
                "validation_loss": validation.loss,
                "validation_dice": validation.dice,
                "validation_nll": validation.nll,
                "seconds": seconds,
                "processor_seconds": processor_seconds,
            }
        )
        self.last_layers[epoch] = last_decoder_layer(self.network).cpu()
        if "selection" in self.run.settings:
            self._select(validation.nll)
        elif epoch in self.run.keep_epochs:
            self._write_checkpoint(epoch, dict(self.network.named_parameters()))
        if epoch in self.run.branch_epochs:
            self._write_state(self.side.products / state_file(epoch), {})
        self.next_epoch += 1
        self._report()

    def is_due(self) -> bool:
        """Tell whether the last state is so old that the next is to be kept, or the run is done."""
        return self.is_complete or time.monotonic() - self.last_kept > SECONDS_BETWEEN_STATES

    def keep(self) -> None:
        """Keep all epochs that are done, for a run that is interrupted to go on after them."""
        self.last_kept = time.monotonic()
        write_history(self.history, self.side.products / HISTORY_FILE)
        self._write_state(self.side.state, self.selected)
        self.epochs_kept = self.next_epoch

    def finish(self) -> None:
        """Turn the side folder into the run's own."""
        if self.selected:
            self._write_checkpoint(self.schedule.epochs - 1, self.selected)
        with atomic_write(self.side.products / LAST_LAYER_FILE) as temporary:
            np.save(temporary, self.last_layers.numpy())
        self.side.finish()

    def _select(self, nll: float) -> None:
        """Hold the weights of the lowest validation NLL so far, which will stand for the last
        epoch's. They are part of the state, as an epoch that is lost may do otherwise elsewhere."""
        if nll <= min(row["validation_nll"] for row in self.history):
            weights = self.network.named_parameters()
            self.selected = {name: value.detach().cpu().clone() for name, value in weights}

    def _write_checkpoint(self, epoch: int, weights: Mapping[str, torch.Tensor]) -> None:
        save_tensors(weights, self.side.products / checkpoint_file(epoch))

    def _write_state(self, path: Path, selected: Mapping[str, torch.Tensor]) -> None:
        last_epoch = int(self.history[-1]["epoch"])
        save_state(path, last_epoch, self.network, self.optimiser, self.last_layers, selected)

    def _report(self) -> None:
        """Log the last epoch, and the time that is left, every now and then and at the end."""
        now = time.monotonic()
        if self.is_complete or now - self.last_reported > SECONDS_BETWEEN_REPORTS:
            own = self.next_epoch - self.first_epoch, self.schedule.epochs - self.first_epoch
            done = tqdm.format_meter(*own, now - self.start, unit="epoch")
            row = self.history[-1]
            numbers = row["train_loss"], row["validation_dice"]
            log.info("loss %.3f, validation Dice %.3f, %s", *numbers, done)
            self.last_reported = now
