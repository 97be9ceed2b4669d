"""Models that nnU-Net v2 trained, whose folds and checkpoints are an ensemble (docs/nnunet.md)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from cardiouq.data.plan import Plan
from cardiouq.data.readers.labels import match_labels, to_project
from cardiouq.data.readers.scans import Case, read_image
from cardiouq.errors import CardiouqError
from cardiouq.methods.base import MIRRORED_AXES, Draw, Fitted, PretrainedMethod, Sample
from cardiouq.methods.settings import setting
from cardiouq.nnunet.folder import (
    FINAL,
    checkpoint_files,
    configuration_of,
    fingerprint_of,
)
from cardiouq.nnunet.plans import DATASET_FILE, read_plan, read_structures
from cardiouq.structures import BACKGROUND, IGNORE, STRUCTURES

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from cardiouq.nnunet.model import ModelMember, TrainedModel
    from cardiouq.nnunet.predictor import SeenScan

LABELS_HELP = (
    "structure of the study -> the model's name of it, or several; unless set its names are the"
    " study's. What is no structure of the study is background"
)


@dataclass(frozen=True)
class Method(PretrainedMethod):
    """Each checkpoint of each fold is a sample; nothing is trained.

    nnU-Net itself averages the logits of its folds (Isensee et al., Nature Methods 2021), which
    papers on uncertainty do not: they average probabilities.
    """

    folds: Sequence[int | Literal["all"]] | None = setting(
        None, minItems=1, uniqueItems=True, help="that are taken; unless set all that have a number"
    )
    checkpoints: Sequence[str] = setting(
        (FINAL,), minItems=1, uniqueItems=True, help="of each fold, as in `checkpoint_<name>.pth`"
    )
    mirroring: bool = setting(
        True,
        help="whether the mean is taken over mirror images, as nnU-Net does, on the axes that the"
        " checkpoints allow",
    )
    mean_of: Literal["probabilities", "logits"] = setting(
        "probabilities",
        help="`probabilities`: each fold and checkpoint is a sample; `logits`: one sample, as"
        " nnU-Net itself predicts",
    )
    labels: Mapping[str, str | int | Sequence[str | int]] | None = setting(None, help=LABELS_HELP)

    def check(self, structures: Sequence[str]) -> None:
        """Check folder, plan, labels, folds and checkpoints."""
        self.plan()
        classes_of(self.folder, self.labels, structures)
        self.fingerprint()

    def fingerprint(self) -> str:
        """Twelve hex digits that change with plans, labels and weights."""
        return fingerprint_of(self.folder, self._files().values())

    def checkpoint_bytes(self) -> int:
        """Size of all checkpoints, with the optimiser's state that they hold."""
        return sum(file.stat().st_size for file in self._files().values())

    def plan(self) -> Plan:
        """Plan of the configuration that the folder is called after."""
        return read_plan(self.folder, configuration_of(self.folder))

    def sample_count(self, schedule: object = None, plan: object = None) -> int:
        """One for each checkpoint of each fold, or one that is of all."""
        return 1 if self.mean_of == "logits" else len(self._files())

    def passes(self) -> int:
        """Count a pass for each mirror image, by each checkpoint of each fold.

        Mirror images are counted as nnU-Net's own trainer allows them; which ones a checkpoint
        allows is not known before it is read.
        """
        return len(self._files()) * (2 ** len(MIRRORED_AXES) if self.mirroring else 1)

    def sampler(self, device: "torch.device", *, in_memory: bool = False) -> "ModelSampler":
        """The method with the model's networks.

        Args:
            device: of the networks.
            in_memory: whether all weights are kept there, and files read no more than once.
        """
        from cardiouq.nnunet.model import read_trained

        model = read_trained(self.folder, self._folds(), self.checkpoints, in_memory=in_memory)
        classes = classes_of(self.folder, self.labels, STRUCTURES)
        return ModelSampler(self, model, classes, device)

    def _folds(self) -> list[str]:
        return [str(fold) for fold in self.folds or ()]

    def _files(self) -> dict[tuple[str, str], Path]:
        return checkpoint_files(self.folder, self._folds(), self.checkpoints)


def classes_of(
    folder: Path,
    wanted: Mapping[str, str | int | Sequence[str | int]] | None,
    structures: Sequence[str],
) -> list[int]:
    """The project's class of each label in the `dataset.json` of a folder, background first.

    Args:
        folder: of nnU-Net's.
        wanted: setting of a method.
        structures: of the study.

    Raises:
        CardiouqError: the two do not name the same.
    """
    where, wanted = f"{folder / DATASET_FILE}", wanted or {}
    theirs = (BACKGROUND, *read_structures(folder))
    if IGNORE in wanted:
        raise CardiouqError(
            f"{where}: `labels` of the method names {IGNORE!r}; expected structures, as a "
            "model says something of every voxel"
        )
    known = {name: label for label, name in enumerate(theirs)}
    text = match_labels(known, wanted, structures, where)
    return [int(label) for label in to_project(text)[: len(theirs)]]


@dataclass(frozen=True)
class ModelSampler:
    """The method with the networks of a model.

    Attributes:
        method: with its settings.
        model: that it names.
        classes: of the study, one for each of the model's.
        device: of the networks.
        image_of: gives the intensities of a case, as they are in its file.
    """

    method: Method
    model: "TrainedModel"
    classes: Sequence[int]
    device: "torch.device"
    image_of: "Callable[[Case], NDArray[np.float32]]" = read_image

    precision: ClassVar[str] = "float32"
    """nnU-Net's plans are predicted with in full precision (`nnunet.predictor.logits_of`)."""

    @property
    def sample_count(self) -> int:
        """How many samples all draws have together."""
        return 1 if self.method.mean_of == "logits" else len(self.model.members)

    def fit(self) -> Fitted:
        """Learn nothing from held-out subjects."""
        return {}

    def draws(self, fitted: Fitted) -> "Iterator[Draw]":
        """A draw for each member of the model, or one for the mean of all of them."""
        members = self.model.members
        if self.method.mean_of == "logits":
            networks = [self.model.network(member, self.device) for member in members]
            sample = Sample(" ".join(map(_name, members)), members[0].epoch - 1)
            yield Draw([sample], partial(_mean, networks), _as_it_is)
            return
        for member in members:
            network = self.model.network(member, self.device)
            yield Draw([Sample(_name(member), member.epoch - 1)], network, _as_it_is)

    def prepare(self, case: Case) -> "SeenScan":
        """A case as nnU-Net preprocesses it, from the scan itself."""
        from cardiouq.nnunet.predictor import SeenScan, prepare

        plan, spacing = self.model.plan, (case.spacing_z, case.spacing_y, case.spacing_x)
        scan = prepare(self.image_of(case), spacing, plan)
        mirroring = self.model.mirroring if self.method.mirroring else ()
        return SeenScan(scan, plan, mirroring, self.classes, self.device)


def _name(member: "ModelMember") -> str:
    """What a member is called in `samples.csv`."""
    return f"fold-{member.fold}-{member.checkpoint}"


def _as_it_is(output: "Tensor") -> "list[Tensor]":
    """The logits of a network that gives those of one sample."""
    return [output]


def _mean(networks: "Sequence[Callable[[Tensor], Tensor]]", images: "Tensor") -> "Tensor":
    """Mean of several networks' logits, which nnU-Net takes after resampling: that is linear."""
    total = networks[0](images)
    for network in networks[1:]:
        total = total + network(images)
    return total / len(networks)
