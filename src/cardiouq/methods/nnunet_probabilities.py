"""Probabilities that nnU-Net saved of each fold, for want of its weights (docs/nnunet.md).

A folder `fold_<k>` is what `nnUNetv2_predict -f <k> --save_probabilities` wrote: `<case>.npz` with
`probabilities`, float32 (label, slices, rows, columns) on the scan's own grid, and `dataset.json`.
"""

import hashlib
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cardiouq.data.readers.scans import Case
from cardiouq.errors import CardiouqError
from cardiouq.methods.base import Draw, Fitted, PretrainedMethod, Sample
from cardiouq.methods.nnunet import LABELS_HELP, classes_of
from cardiouq.methods.settings import setting
from cardiouq.nnunet.folder import FETCH_AGAIN
from cardiouq.nnunet.plans import DATASET_FILE, read_structures
from cardiouq.structures import STRUCTURES

if TYPE_CHECKING:
    import torch
    from torch import Tensor

KEY, SUFFIX = "probabilities", ".npz"
SUM_TOLERANCE = 1e-2
"""By which probabilities of a voxel may add up to something else than 1, as of half precision."""


@dataclass(frozen=True)
class Method(PretrainedMethod):
    """Each fold is a sample: what nnU-Net saved of it, be its network whatever it may."""

    labels: Mapping[str, str | int | Sequence[str | int]] | None = setting(None, help=LABELS_HELP)

    def check(self, structures: Sequence[str]) -> None:
        """Check labels, files, and that all folds have the same."""
        folds = self._folds()
        if not folds:
            raise CardiouqError(
                f"{self.folder}: has no fold_0, fold_1, ...; expected in each what "
                "`nnUNetv2_predict -f 0 --save_probabilities` wrote for the fold"
            )
        files = {DATASET_FILE, *(file.name for fold in folds for file in _saved(fold))}
        paths = [fold / name for fold in folds for name in sorted(files)]
        if missing := [str(path) for path in paths if not path.is_file()]:
            raise CardiouqError(
                f"{', '.join(missing)}: missing; expected {DATASET_FILE} and the same cases in "
                f"{', '.join(fold.name for fold in folds)}; predict them with each fold"
            )
        labels = {read_structures(fold) for fold in folds}
        if len(labels) > 1:
            raise CardiouqError(
                f"{self.folder}: {DATASET_FILE} has the labels {sorted(labels)} in one fold or "
                "another; expected the folds of one model"
            )
        classes_of(folds[0], self.labels, structures)
        self.fingerprint()

    def fingerprint(self) -> str:
        """Twelve hex digits that change with labels and probabilities.

        Of a file the checksum is taken that it keeps of its content.
        """
        seen = hashlib.sha256()
        for fold in self._folds():
            seen.update((fold / DATASET_FILE).read_bytes())
            for file in _saved(fold):
                seen.update(f"{file.name} {_checksums(file)}".encode())
        return seen.hexdigest()[:12]

    def checkpoint_bytes(self) -> int:
        """Size of all probabilities."""
        return sum(file.stat().st_size for fold in self._folds() for file in _saved(fold))

    def case_problems(self, cases: Iterable[Case]) -> list[str]:
        """Every file that is missing, or would be read for cases of several scans."""
        readers: dict[Path, dict[str, str]] = {}
        for case in cases:
            for fold in self._folds():
                readers.setdefault(_file_of(case, fold), {})[case.image] = case.case
        problems = []
        for file, of in readers.items():
            first, *others = of.values()
            if others:
                problems.append(
                    f"{file}: stands for {1 + len(others)} scans of one name, those of the cases "
                    f"{first} and {others[0]} among them; expected a file for each, called as its "
                    f"case: {first}{SUFFIX}"
                )
            elif not file.is_file():
                problems.append(
                    f"{file}: missing; predict this scan with nnU-Net and --save_probabilities"
                )
        return problems

    def plan(self) -> None:
        """Nothing, as no network is applied."""

    def sample_count(self, schedule: object = None, plan: object = None) -> int:
        """One for each fold."""
        return len(self._folds())

    def passes(self) -> int:
        """One for each fold, at least: mirror images that nnU-Net took are not known."""
        return len(self._folds())

    def sampler(self, device: "torch.device") -> "ProbabilitiesSampler":
        """The method with its files; all is computed on the CPU, as there is little to do."""
        import torch

        folds = self._folds()
        classes = classes_of(folds[0], self.labels, STRUCTURES)
        return ProbabilitiesSampler(self, folds, classes, torch.device("cpu"))

    def _folds(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("fold_*") if path.is_dir())


@dataclass(frozen=True)
class ProbabilitiesSampler:
    """The method with the folders of its folds.

    Where other samplers have networks it has folds, which are applied to cases and not to images.

    Attributes:
        method: with its settings.
        folds: folder of each.
        classes: of the study, one for each of the model's labels.
        device: of the sums.
    """

    method: Method
    folds: Sequence[Path]
    classes: Sequence[int]
    device: "torch.device"

    precision: ClassVar[str] = "float32"

    @property
    def sample_count(self) -> int:
        """How many samples all draws have together."""
        return len(self.folds)

    def fit(self) -> Fitted:
        """Learn nothing from held-out subjects."""
        return {}

    def draws(self, fitted: Fitted) -> Iterator[Draw]:
        """A draw for each fold; after which epoch is not known."""
        for fold in self.folds:
            network = SavedFold(fold, len(self.classes))
            yield Draw([Sample(fold.name, -1)], network, lambda logits: [logits])

    def prepare(self, case: Case) -> "SavedScan":
        """A case, which is told by its name."""
        return SavedScan(case, self.classes)


@dataclass(frozen=True)
class SavedFold:
    """What nnU-Net saved of a fold, in the place of the network.

    Attributes:
        folder: of the files.
        labels: how many the model has, with background.
    """

    folder: Path
    labels: int

    def __call__(self, case: Any) -> "Tensor":
        """Logarithms of a case's probabilities (slices, labels, rows, columns), which are logits.

        Raises:
            CardiouqError: the file is missing, damaged, or no probabilities of this case.
        """
        import numpy as np
        import torch

        file = _file_of(case, self.folder)
        try:
            with np.load(file) as saved:
                values = saved[KEY]
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise CardiouqError(
                f"{file}: cannot be read as what nnU-Net saves ({error}); expected {KEY!r}; "
                f"{FETCH_AGAIN}"
            ) from None
        expected = (self.labels, case.slices, case.rows, case.columns)
        if values.shape != expected:
            raise CardiouqError(
                f"{file}: probabilities of shape {values.shape}; expected labels, slices, rows and "
                f"columns {expected} of {case.image}; predict that scan"
            )
        sums = values.sum(0, dtype=np.float32)
        if not (values >= 0).all() or np.abs(sums - 1).max() > SUM_TOLERANCE:
            raise CardiouqError(
                f"{file}: its numbers are no probabilities, as some are negative or do not add up "
                f"to 1; {FETCH_AGAIN}"
            )
        found: Tensor = torch.from_numpy(values.astype(np.float32))
        return found.clamp_min(torch.finfo(found.dtype).tiny).log().transpose(0, 1)


@dataclass(frozen=True)
class SavedScan:
    """A case whose probabilities are on its own grid already."""

    case: Case
    classes: Sequence[int]

    def output(self, network: "Callable[[Tensor], Tensor]") -> "Tensor":
        """What a fold has of the case."""
        return network(cast(Any, self.case))

    def probabilities(self, logits: "Tensor") -> "Tensor":
        """Probabilities (the study's classes, slices, rows, columns) float32."""
        from cardiouq.nnunet.predictor import in_classes

        return in_classes(logits.softmax(1).transpose(0, 1), self.classes)


def _saved(fold: Path) -> list[Path]:
    """The files of a fold's cases."""
    return sorted(fold.glob(f"*{SUFFIX}"))


def _file_of(case: Case, fold: Path) -> Path:
    """The file of a case in a fold: called as the case, which no other is, or, unless the case is a
    frame, as its scan, as nnU-Net does it."""
    file = fold / f"{case.case}{SUFFIX}"
    if case.frame >= 0 or file.is_file():
        return file
    return fold / (re.sub(r"(_0000)?\.nii(\.gz)?$", "", Path(case.image).name) + SUFFIX)


def _checksums(file: Path) -> list[int]:
    """Checksums that a file keeps of its parts."""
    try:
        with zipfile.ZipFile(file) as archive:
            return [part.CRC for part in archive.infolist()]
    except (zipfile.BadZipFile, OSError) as error:
        raise CardiouqError(f"{file}: cannot be read as NPZ ({error}); {FETCH_AGAIN}") from None
