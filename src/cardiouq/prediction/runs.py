"""Runs on disk: from checkpoints to networks ready to predict."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cardiouq.data.plan import Plan
from cardiouq.errors import CardiouqError
from cardiouq.methods import build_variant
from cardiouq.methods.base import Member
from cardiouq.prediction.predictor import Predictor
from cardiouq.training.network import build_network, channels_last
from cardiouq.training.state import load_tensors, load_weights
from cardiouq.training.train import read_history


@dataclass(frozen=True)
class HeldOut:
    """The cases that a run did not train on, and where their arrays lie."""

    cases: Sequence[str]
    arrays: Path
    predictor: Predictor


class RunOnDisk:
    """A finished run's folder, checked against the data that it is to predict with."""

    def __init__(
        self,
        folder: Path,
        member: Member,
        plan: Plan,
        fingerprint: str,
        device: torch.device,
        held_out: HeldOut,
    ) -> None:
        identity = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if identity["data_fingerprint"] != fingerprint:
            raise CardiouqError(
                f"{folder}: was trained on other scans, another split or another plan "
                f"(fingerprint {identity['data_fingerprint']}) than the study has now "
                f"({fingerprint}); delete the folder to train the run anew"
            )
        self.folder = folder
        self.member = member
        self.recipe = identity["recipe"]
        self.plan = plan
        self.device = device
        self._held_out = held_out

    def network(self, epoch: int) -> nn.Module:
        """The network after an epoch, in evaluation mode."""
        return self._with(self._weights(epoch))

    def mean_network(self, epochs: Sequence[int]) -> nn.Module:
        """The network with the mean of the weights after several epochs, summed in float64."""
        sums: dict[str, Tensor] = {}
        for epoch in epochs:
            for name, weight in self._weights(epoch).items():
                sums[name] = sums.get(name, torch.zeros(())) + weight.double()
        return self._with({name: (s / len(epochs)).float() for name, s in sums.items()})

    def held_out(
        self, network: Callable[[Tensor], Tensor]
    ) -> Iterator[tuple[Tensor, NDArray[np.uint8]]]:
        """Per held-out case the network's output (slices, channels, rows, columns) and the
        reference (slices, rows, columns), on the plan's grid."""
        for case in self._held_out.cases:
            image = np.load(self._held_out.arrays / f"{case}_image.npy")
            label = np.load(self._held_out.arrays / f"{case}_label.npy")
            yield self._held_out.predictor.output(network, image), label

    def validation_loss(self, epoch: int) -> float:
        """On held-out patches, after an epoch."""
        history = {row["epoch"]: row for row in read_history(self.folder / "history.csv")}
        return history[epoch]["validation_loss"]

    def _weights(self, epoch: int) -> dict[str, Tensor]:
        return load_tensors(self.folder / "checkpoints" / f"epoch-{epoch:04d}.safetensors")

    def _with(self, weights: dict[str, Tensor]) -> nn.Module:
        plain = build_network(self.plan, self.recipe["dropout"])
        network = build_variant(self.recipe.get("variant")).network(plain)
        load_weights(network, weights)
        return channels_last(network).to(self.device).eval()
