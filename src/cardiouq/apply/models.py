"""Models of either kind, by their folder: exported ones, and those that nnU-Net trained."""

from collections.abc import Sequence
from pathlib import Path

from cardiouq.apply.exported import exported_structures, read_exported
from cardiouq.apply.model import Model
from cardiouq.apply.nnunet import is_nnunet, nnunet_structures, read_nnunet
from cardiouq.files.writing import HASHES_FILE
from cardiouq.nnunet.plans import PLANS_FILE


def structures_of(folder: Path) -> Sequence[str]:
    """The structures that a model segments, in the order of their labels.

    Raises:
        CardiouqError: the folder is none of a model, or cannot be read.
    """
    return nnunet_structures(folder) if is_nnunet(folder) else exported_structures(folder)


def changing_file(folder: Path) -> Path:
    """The file of a model that is written anew with the model."""
    return folder / (PLANS_FILE if is_nnunet(folder) else HASHES_FILE)


def read_model(folder: Path) -> Model:
    """Read and check a model; nothing in its folder is executed.

    Raises:
        CardiouqError: as `structures_of`, or it cannot be predicted with here.
    """
    return read_nnunet(folder) if is_nnunet(folder) else read_exported(folder)
