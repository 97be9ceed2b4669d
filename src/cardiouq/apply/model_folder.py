"""Models of either kind, by their folder: exported ones, and those that nnU-Net trained."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cardiouq.apply.exported import exported_structures, read_exported
from cardiouq.apply.model import Model
from cardiouq.apply.nnunet import Fold, is_nnunet, nnunet_structures, read_nnunet
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import HASHES_FILE
from cardiouq.names import EXPECTED, is_name
from cardiouq.nnunet.folder import FINAL, checkpoint_files, fingerprint_of
from cardiouq.nnunet.plans import DATASET_FILE, PLANS_FILE


def structures_of(folder: Path) -> Sequence[str]:
    """The structures that a model segments, in the order of their labels.

    Raises:
        CardiouqError: the folder is none of a model, cannot be read, or names a structure by what
            cannot be part of a file's name.
    """
    names = nnunet_structures(folder) if is_nnunet(folder) else exported_structures(folder)
    if wrong := [name for name in names if not is_name(name) or "/" in name]:
        raise CardiouqError(
            f"{folder}: structures {wrong} cannot be part of the name of a file; expected "
            f"{EXPECTED}, and no '/'; rename them in nnU-Net's {DATASET_FILE}, or export the model "
            "again"
        )
    return names


def changing_file(folder: Path) -> Path:
    """The file of a model that is written anew with the model."""
    return folder / (PLANS_FILE if is_nnunet(folder) else HASHES_FILE)


def digest_of(folder: Path) -> str:
    """Text that changes with a model; its weights are not read.

    Raises:
        CardiouqError: a checkpoint of nnU-Net's is missing, or none that PyTorch saved.
    """
    if is_nnunet(folder):
        return fingerprint_of(folder, checkpoint_files(folder).values())
    return hashlib.sha256((folder / HASHES_FILE).read_bytes()).hexdigest()


def read_model(folder: Path, folds: Sequence[Fold] = (), checkpoint: str = FINAL) -> Model:
    """Read and check a model; nothing in its folder is executed.

    Args:
        folder: of the model.
        folds: of one that nnU-Net trained, as `read_nnunet` takes them.
        checkpoint: of each of these folds.

    Raises:
        CardiouqError: as `structures_of`, or it cannot be predicted with here.
    """
    if is_nnunet(folder):
        return read_nnunet(folder, folds, checkpoint)
    if folds or checkpoint != FINAL:
        raise CardiouqError(
            f"{folder}: folds or a checkpoint are named, and it is no folder that nnU-Net trained "
            "into; expected them of such a model alone; leave `-f` and `-chk` out"
        )
    return read_exported(folder)
