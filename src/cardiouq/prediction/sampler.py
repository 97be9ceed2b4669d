"""A method with the runs of its recipe, and cases as these see them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardiouq.data.readers.scans import Case
from cardiouq.device.choose import precision
from cardiouq.files.reading import read_array
from cardiouq.methods.base import BaseMethod, Draw, Fitted, Runs
from cardiouq.prediction.predictor import Predictor, probabilities
from cardiouq.recipes.schedule import Schedule

ImageOf = Callable[[Case], NDArray[np.float32]]
"""A case -> its preprocessed image (slices, rows, columns)."""


@dataclass(frozen=True)
class PlannedScan:
    """A case on the grid of a plan."""

    case: Case
    image: NDArray[np.float32]
    predictor: Predictor

    def output(self, network: Callable[[Tensor], Tensor]) -> Tensor:
        """A network's output (slices, channels, rows, columns), blended where tiles overlap."""
        return self.predictor.output(network, self.image)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities (classes, slices, rows, columns) float32 on the case's own grid."""
        return probabilities(logits, self.case, self.predictor.plan)


@dataclass(frozen=True)
class RunSampler:
    """A method with the runs of its recipe.

    Attributes:
        method: draws the samples.
        runs: of the method's members, finished.
        schedule: of the recipe.
        predictor: applies networks by the plan that the runs were trained by.
        image_of: gives the preprocessed image of a case.
    """

    method: BaseMethod
    runs: Runs
    schedule: Schedule
    predictor: Predictor
    image_of: ImageOf

    @property
    def device(self) -> torch.device:
        """Device of the networks."""
        return self.predictor.device

    @property
    def precision(self) -> str:
        """What the networks compute in."""
        return precision(self.device)

    @property
    def sample_count(self) -> int:
        """How many samples all draws have together."""
        return self.method.sample_count(self.schedule, self.predictor.plan)

    def fit(self) -> Fitted:
        """What the method learns from held-out subjects before it predicts."""
        return self.method.fit(self.runs, self.schedule)

    def draws(self, fitted: Fitted) -> Iterator[Draw]:
        """Samples of the posterior, each with the network that predicts it."""
        return self.method.draws(self.runs, self.schedule, fitted)

    def prepare(self, case: Case) -> PlannedScan:
        """A case as the networks see it."""
        return PlannedScan(case, self.image_of(case), self.predictor)


def images_in(folders: Iterable[Path]) -> ImageOf:
    """What reads the preprocessed image of a case from whichever folder holds it."""
    files = {
        path.name.removesuffix("_image.npy"): path
        for folder in folders
        for path in folder.glob("*_image.npy")
    }
    return lambda case: read_array(files[case.case])
