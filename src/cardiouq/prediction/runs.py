"""Runs on disk: from checkpoints to networks ready to predict."""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cardiouq.data.plan import Plan
from cardiouq.errors import CardiouqError
from cardiouq.files.documents import read_json
from cardiouq.files.reading import read_array
from cardiouq.files.run_files import HISTORY_FILE, RUN_FILE, checkpoint_file
from cardiouq.methods import build_variant
from cardiouq.methods.base import MEMBER, Member
from cardiouq.prediction.predictor import Predictor
from cardiouq.recipes.network import UNet, build_network, in_fast_layout
from cardiouq.training.checkpoints import load_tensors, load_weights
from cardiouq.training.history import read_history

log = logging.getLogger(__name__)

IDENTITY = {
    "type": "object",
    "properties": {
        "recipe": {"type": "object"},
        "member": {"type": "string", "pattern": f"^({MEMBER.pattern})$"},
        "data_fingerprint": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
    },
    "required": ["recipe", "member", "data_fingerprint"],
}
"""JSON schema of a `run.json`, as far as it is read here."""


class RunWeights:
    """The weights of a run, and the networks that they belong to.

    A folder holds data: which network its weights belong to, and whose code builds that, is for
    `recipe` and `plan` to say.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Mapping[str, Any],
        member: Member,
        plan: Plan,
        device: torch.device,
    ) -> None:
        self.folder = folder
        self.recipe = recipe
        self.member = member
        self.plan = plan
        self.device = device

    def file(self, epoch: int) -> Path:
        """File of the weights after an epoch."""
        return self.folder / checkpoint_file(epoch)

    def network(self, epoch: int) -> nn.Module:
        """Load the network after an epoch, in evaluation mode."""
        return self._with(self._weights(epoch))

    def mean_network(self, epochs: Sequence[int]) -> nn.Module:
        """Load the network with the mean of the weights after several epochs, summed in float64."""
        sums: dict[str, Tensor] = {}
        for epoch in epochs:
            for name, weight in self._weights(epoch).items():
                sums[name] = sums.get(name, torch.zeros(())) + weight.double()
        return self._with({name: (s / len(epochs)).float() for name, s in sums.items()})

    def held_out(
        self, network: Callable[[Tensor], Tensor]
    ) -> Iterator[tuple[Tensor, NDArray[np.uint8]]]:
        """Raise an error: weights alone, which methods draw from, know no held-out case."""
        raise NotImplementedError

    def validation_loss(self, epoch: int) -> float:
        """Raise an error: weights alone have no history."""
        raise NotImplementedError

    def _weights(self, epoch: int) -> dict[str, Tensor]:
        return load_tensors(self.file(epoch))

    def _with(self, weights: dict[str, Tensor]) -> nn.Module:
        with torch.random.fork_rng(devices=[]):  # its first weights are of no account
            plain = copy.deepcopy(self._plain)
            network = build_variant(self.recipe.get("variant")).network(plain)
        load_weights(network, weights)
        return in_fast_layout(network, self.device).eval()

    @cached_property
    def _plain(self) -> UNet:
        """The plain network of the recipe, which takes longer to build than to copy."""
        return build_network(self.plan, self.recipe["dropout"])


@dataclass(frozen=True)
class HeldOut:
    """Cases that a run did not train on, and the folder of their arrays."""

    cases: Sequence[str]
    arrays: Path
    predictor: Predictor


class RunOnDisk(RunWeights):
    """A finished run's folder, checked against what the study says of it."""

    def __init__(
        self,
        folder: Path,
        recipe: Mapping[str, Any],
        member: Member,
        plan: Plan,
        fingerprint: str,
        device: torch.device,
        held_out: HeldOut,
        earlier_fingerprint: Callable[[], str],
    ) -> None:
        check_run(folder, recipe, member, fingerprint, earlier_fingerprint)
        super().__init__(folder, recipe, member, plan, device)
        self._held_out = held_out

    def held_out(
        self, network: Callable[[Tensor], Tensor]
    ) -> Iterator[tuple[Tensor, NDArray[np.uint8]]]:
        """Yield per held-out case the network's output and the reference, on the plan's grid.

        They are (slices, channels, rows, columns) and (slices, rows, columns).
        """
        for case in self._held_out.cases:
            image = read_array(self._held_out.arrays / f"{case}_image.npy")
            label = read_array(self._held_out.arrays / f"{case}_label.npy")
            yield self._held_out.predictor.output(network, image), label

    def validation_loss(self, epoch: int) -> float:
        """Validation loss after an epoch, of held-out patches."""
        return self._validation_losses[epoch]

    @cached_property
    def _validation_losses(self) -> dict[float, float]:
        """By epoch; methods ask for many, and the file is read and hashed as a whole."""
        history = read_history(self.folder / HISTORY_FILE)
        return {row["epoch"]: row["validation_loss"] for row in history}


def check_run(
    folder: Path,
    recipe: Mapping[str, Any],
    member: Member,
    fingerprint: str,
    earlier_fingerprint: Callable[[], str],
) -> None:
    """Check that a run is the one that a study has.

    Args:
        folder: of the run.
        recipe, member: of the study.
        fingerprint: of what the study trains it on.
        earlier_fingerprint: gives that fingerprint as earlier versions took it.

    Raises:
        CardiouqError: it is of another recipe, member, scans, split or plan.
    """
    identity = read_json(folder / RUN_FILE, IDENTITY)
    of_study = {"recipe": recipe, "member": str(member)}
    if differing := sorted(_differing({key: identity[key] for key in of_study}, of_study)):
        raise CardiouqError(
            f"{folder / RUN_FILE}: says another {', '.join(differing)} than the study; delete "
            f"{folder} to train the run anew"
        )
    found = identity["data_fingerprint"]
    if found != fingerprint and found == earlier_fingerprint():
        log.warning(
            "%s: is of an earlier version, which did not note pixel sizes; it is taken as it "
            "is, as images, labels and plan are those that it was trained on",
            folder,
        )
    elif found != fingerprint:
        raise CardiouqError(
            f"{folder}: was trained on other scans, another split or another plan "
            f"(fingerprint {found}) than the study has now "
            f"({fingerprint}); delete the folder to train the run anew"
        )


def _differing(found: Any, expected: Any, path: str = "") -> Iterator[str]:
    """Dotted paths of what differs between two values of JSON."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for key in {*found, *expected}:
            below = f"{path}.{key}" if path else str(key)
            yield from _differing(found.get(key), expected.get(key), below)
    elif found != expected:
        yield path
