"""The folder that nnU-Net trains into: which folds and checkpoints it has, and whose they are.

Imports no torch: studies ask before anything is read.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from cardiouq.errors import CardiouqError
from cardiouq.nnunet.plans import DATASET_FILE, PLANS_FILE

EXPECTED_FOLDER = "the folder that nnU-Net trained into, TRAINER__PLANS__CONFIGURATION"
FETCH_AGAIN = "fetch the file again"
FINAL = "final"
"""Checkpoint that nnU-Net predicts with."""
ALL = "all"
"""Fold of a training without validation, which nnU-Net predicts with only if it is asked to."""


def checkpoint_files(
    folder: Path, folds: Sequence[str] = (), checkpoints: Sequence[str] = (FINAL,)
) -> dict[tuple[str, str], Path]:
    """Fold and name of each checkpoint -> its file, fold by fold.

    Args:
        folder: of the model.
        folds: that are wanted; none: all that there are, `all` only if it is alone.
        checkpoints: names of those of each fold, as in `checkpoint_<name>.pth`.

    Raises:
        CardiouqError: one is not there.
    """
    return {
        (fold, name): _file(folder, fold, name)
        for fold in folds or _folds(folder)
        for name in checkpoints
    }


def configuration_of(folder: Path) -> str:
    """Name of the configuration that a model was trained in, by that of its folder.

    Raises:
        CardiouqError: the folder is called as nnU-Net calls none.
    """
    *before, configuration = folder.name.split("__")
    if len(before) != 2:
        raise CardiouqError(
            f"{folder}: is called {folder.name!r}; expected {EXPECTED_FOLDER}; rename it to that"
        )
    return configuration


def fingerprint_of(folder: Path, checkpoints: Iterable[Path]) -> str:
    """Twelve hex digits that change with plans, labels and weights of a model.

    Of a checkpoint those checksums are taken that it keeps of its own parts, and that are compared
    when it is read: the weights are not read for this.

    Raises:
        CardiouqError: a file is missing, or a checkpoint is none that PyTorch saved.
    """
    seen = hashlib.sha256()
    for name in (PLANS_FILE, DATASET_FILE):
        seen.update((folder / name).read_bytes())
    for file in checkpoints:
        try:
            with zipfile.ZipFile(file) as archive:
                parts = [(part.file_size, part.CRC) for part in archive.infolist()]
        except (zipfile.BadZipFile, OSError) as error:
            raise CardiouqError(
                f"{file}: cannot be read as what PyTorch saves ({error}); {FETCH_AGAIN}"
            ) from None
        seen.update(str(parts).encode())
    return seen.hexdigest()[:12]


def _folds(folder: Path) -> list[str]:
    """The folds that a folder has."""
    found = [path.name.removeprefix("fold_") for path in folder.glob("fold_*") if path.is_dir()]
    numbered = sorted((fold for fold in found if fold.isdecimal()), key=int)
    if not numbered and ALL not in found:
        raise CardiouqError(
            f"{folder}: has no fold_0, fold_1, ... or fold_{ALL}; expected {EXPECTED_FOLDER}"
        )
    return numbered or [ALL]


def _file(folder: Path, fold: str, checkpoint: str) -> Path:
    """The file of a fold's checkpoint; a CardiouqError that says what there is if it is not."""
    file = folder / f"fold_{fold}" / f"checkpoint_{checkpoint}.pth"
    if not file.is_file():
        there = sorted(
            f"{path.parent.name}/{path.name}" for path in folder.glob("fold_*/checkpoint_*.pth")
        )
        raise CardiouqError(
            f"{file}: missing; the folder has {', '.join(there) or 'no checkpoint'}; finish the "
            "training, or name folds and checkpoints that are there, by `folds` and `checkpoints` "
            "of the method or, for `cardiouq apply`, by `-f` and `-chk` as for nnU-Net itself"
        )
    return file
