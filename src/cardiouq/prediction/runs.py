"""Runs on disk: from checkpoints to networks ready to predict."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from monai.networks.nets import DynUNet
from torch import Tensor

from cardiouq.data.plan import Plan
from cardiouq.errors import CardiouqError
from cardiouq.training.network import build_network
from cardiouq.training.state import load_tensors, load_weights


class RunOnDisk:
    """A finished run's folder, checked against the data that it is to predict with."""

    def __init__(self, folder: Path, plan: Plan, fingerprint: str, device: torch.device) -> None:
        identity = json.loads((folder / "run.json").read_text())
        if identity["data_fingerprint"] != fingerprint:
            raise CardiouqError(
                f"{folder}: was trained on other scans, another split or another plan "
                f"(fingerprint {identity['data_fingerprint']}) than the study has now "
                f"({fingerprint}); delete the folder to train the run anew"
            )
        self.folder = folder
        self.member: int = identity["member"]
        self.dropout = identity["recipe"]["dropout"]
        self.plan = plan
        self.device = device

    def network(self, epoch: int) -> DynUNet:
        """The network after an epoch, in evaluation mode."""
        return self._with(self._weights(epoch))

    def mean_network(self, epochs: Sequence[int]) -> DynUNet:
        """The network with the mean of the weights after several epochs, summed in float64."""
        sums: dict[str, Tensor] = {}
        for epoch in epochs:
            for name, weight in self._weights(epoch).items():
                sums[name] = sums.get(name, torch.zeros(())) + weight.double()
        return self._with({name: (s / len(epochs)).float() for name, s in sums.items()})

    def _weights(self, epoch: int) -> dict[str, Tensor]:
        return load_tensors(self.folder / "checkpoints" / f"epoch-{epoch:04d}.safetensors")

    def _with(self, weights: dict[str, Tensor]) -> DynUNet:
        network = build_network(self.plan, self.dropout)
        load_weights(network, weights)
        return network.to(self.device).eval()
