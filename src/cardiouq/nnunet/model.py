"""A model that nnU-Net trained: its folder, checked, and the networks of its members."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cardiouq.data.plan import Plan
from cardiouq.errors import CardiouqError
from cardiouq.nnunet.checkpoints import Checkpoint
from cardiouq.nnunet.folder import FINAL, checkpoint_files
from cardiouq.nnunet.plans import read_plan, read_structures
from cardiouq.recipes.network import UNet, build_network, in_fast_layout

log = logging.getLogger(__name__)

STOCK_TRAINER = "nnUNetTrainer"
NO_DROPOUT = {"p": 0.0, "place": "all"}


@dataclass(frozen=True)
class ModelMember:
    """One checkpoint of one fold."""

    fold: str
    """A number from 0, or `all`."""
    checkpoint: str
    """As in `checkpoint_<name>.pth`."""
    file: Path
    epoch: int
    """Epochs that it was trained for."""
    weights: Mapping[str, Tensor] | None = None
    """Of the whole network, float32, if they are kept in memory."""


@dataclass(frozen=True)
class TrainedModel:
    """A model of nnU-Net's, whose members differ in their weights alone.

    Attributes:
        plan: grid, patch and network.
        structures: the user's names, in the order of the labels from 1.
        mirroring: axes of a slice, 0 rows and 1 columns, that nnU-Net mirrors when it predicts.
        members: of an ensemble, one for each fold and checkpoint that was asked for.
    """

    plan: Plan
    structures: tuple[str, ...]
    mirroring: tuple[int, ...]
    members: tuple[ModelMember, ...]

    def network(self, member: ModelMember, device: torch.device) -> nn.Module:
        """The network of a member on a device, in evaluation mode.

        Raises:
            CardiouqError: its file, which is read if the weights are not in memory, is not what
                it was.
        """
        network = _network(self.plan, self.structures)
        if member.weights is None:
            Checkpoint.read(member.file).load_into(network)
        else:
            network.load_state_dict(member.weights)
        return in_fast_layout(network, device).eval()


def read_trained(
    folder: Path,
    folds: Sequence[str] = (),
    checkpoints: Sequence[str] = (FINAL,),
    *,
    in_memory: bool = False,
) -> TrainedModel:
    """Read and check a model's folder `TRAINER__PLANS__CONFIGURATION`, with all of its weights.

    Args:
        folder: with `plans.json`, `dataset.json` and `fold_<k>/checkpoint_<name>.pth`.
        folds: to take as members; none: all that there are, `all` only if it is alone.
        checkpoints: names of those of each fold.
        in_memory: whether to keep the weights of all members; else files are read anew, to their
            ends, for each network, so that memory does not grow with the number of members.

    Raises:
        CardiouqError: a file is missing or damaged, would run code when it is read, or the model is
            one that cannot be predicted with.
    """
    structures = read_structures(folder)
    named = checkpoint_files(folder, folds, checkpoints)
    found = [Checkpoint.read(file) for file in named.values()]
    first = found[0]
    plan = read_plan(folder, first.configuration)
    network = _network(plan, structures)
    if first.trainer != STOCK_TRAINER:
        log.warning(
            "%s: was trained by %s; its network has the weights of nnU-Net's own and is taken for "
            "it, so compare a scan with nnU-Net's own prediction",
            folder,
            first.trainer,
        )
    members = []
    for (fold, name), checkpoint in zip(named, found, strict=True):
        for what in ("trainer", "configuration", "mirroring"):
            its, expected = getattr(checkpoint, what), getattr(first, what)
            if its != expected:
                raise CardiouqError(
                    f"{checkpoint.file}: its {what} is {its}, and {expected} that of {first.file}; "
                    "expected the folds of one model; take one of them at a time"
                )
        checkpoint.load_into(network)
        weights = None
        if in_memory:
            weights = {key: value.clone() for key, value in network.state_dict().items()}
        members.append(ModelMember(fold, name, checkpoint.file, checkpoint.epoch, weights))
    return TrainedModel(plan, structures, first.mirroring, tuple(members))


def _network(plan: Plan, structures: Sequence[str]) -> UNet:
    """A network of a model's shape; its first weights are of no account."""
    with torch.random.fork_rng(devices=[]):
        return build_network(plan, NO_DROPOUT, n_classes=len(structures) + 1)
