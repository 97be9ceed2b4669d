"""A model that nnU-Net trained, as it is: its folds are the samples, and nothing is calibrated."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cardiouq.apply.familiar import Familiar
from cardiouq.apply.model import Model
from cardiouq.methods.base import Sampler
from cardiouq.methods.nnunet import Method
from cardiouq.nnunet.folder import FINAL, checkpoint_files
from cardiouq.nnunet.plans import PLANS_FILE, read_structures
from cardiouq.prediction.sampler import ImageOf
from cardiouq.structures import STRUCTURES

Fold = int | Literal["all"]
OF_NNUNET = {"MYO": "MLV", "LV": "LVC"}
"""Structure -> how nnU-Net's own conversion of ACDC calls it."""


class NNUNetModel(Model):
    """A folder that nnU-Net trained into; scans are seen as it sees them, which is as stored."""

    def seen(self, image: NDArray[np.float32], spacing: tuple[float, float]) -> NDArray[np.float32]:
        """The scan itself, which nnU-Net's own preprocessing begins with."""
        return image

    def sampler(self, device: torch.device, image_of: ImageOf) -> Sampler:
        """The networks of its folds, whose weights stay in memory from scan to scan."""
        assert isinstance(self.method, Method)
        return replace(self.method.sampler(device, in_memory=True), image_of=image_of)


def is_nnunet(folder: Path) -> bool:
    """Whether a folder is one that nnU-Net trained into."""
    return (folder / PLANS_FILE).is_file()


def nnunet_structures(folder: Path) -> list[str]:
    """The structures that a model segments, those of the heart by this project's names.

    Raises:
        CardiouqError: as `read_structures`.
    """
    ours = {theirs: name for name, theirs in OF_NNUNET.items()}
    return [ours.get(name, name) for name in read_structures(folder)]


def read_nnunet(folder: Path, folds: Sequence[Fold] = (), checkpoint: str = FINAL) -> Model:
    """Read and check a model of nnU-Net's.

    Args:
        folder: that it was trained into.
        folds: to take, numbers or `all`; none: those that have a number.
        checkpoint: of each of them, as in `checkpoint_<name>.pth`.

    Raises:
        CardiouqError: it cannot be predicted with.
    """
    theirs = read_structures(folder)
    labels = {name: other for name, other in OF_NNUNET.items() if other in theirs}
    method = Method(
        model=str(folder), folds=folds or None, checkpoints=(checkpoint,), labels=labels or None
    )
    method.check(STRUCTURES)
    fingerprint = method.fingerprint()
    columns = ["quantity", "unit", "subject", "error", "spread"]
    return NNUNetModel(
        folder=folder,
        digest=fingerprint,
        about={
            "study": "nnU-Net",
            "name": folder.name,
            "label": "nnU-Net",
            "data_fingerprints": [],
            "checkpoints": [
                f"{file.parent.name}/{file.name}"
                for file in checkpoint_files(folder, [*map(str, folds)], [checkpoint]).values()
            ],
        },
        method=method,
        fitted={},
        seed=0,
        thresholds={},
        is_assd_pooled=True,
        calibration=pd.DataFrame(columns=columns),
        familiar=Familiar(pd.DataFrame(columns=["subject"])),
        directions=None,
    )
