"""What scans are segmented with: a method with its networks, and what is known about it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cardiouq.apply.familiar import Familiar
from cardiouq.apply.orientation import Directions
from cardiouq.methods.base import BaseMethod, Fitted, Sampler
from cardiouq.prediction.sampler import ImageOf


@dataclass(frozen=True)
class Model(ABC):
    """A model as its folder has it.

    Attributes:
        folder: where it lies.
        digest: of all that its results depend on.
        about: study, name, label, data_fingerprints and what else is known of it, for people and
            for results.
        method: draws the samples.
        fitted: what it learnt from held-out subjects.
        seed: of whatever it draws.
        thresholds: structure -> metric, and `from` where on a slice is flagged (None: never).
        is_assd_pooled: whether ASSD is over both surfaces together.
        calibration: rows of `conformal.calibration_of`.
        familiar: what scans like the training ones are like.
        directions: mean of the directions of the training scans' axes; None if nobody knows them.
    """

    folder: Path
    digest: str
    about: Mapping[str, Any]
    method: BaseMethod
    fitted: Fitted
    seed: int
    thresholds: Mapping[str, Mapping[str, Any]]
    is_assd_pooled: bool
    calibration: pd.DataFrame
    familiar: Familiar
    directions: Directions | None

    @abstractmethod
    def seen(self, image: NDArray[np.float32], spacing: tuple[float, float]) -> NDArray[np.float32]:
        """What the sampler is given of a scan (slices, rows, columns) of pixels (y, x) in mm."""

    @abstractmethod
    def sampler(self, device: torch.device, image_of: ImageOf) -> Sampler:
        """The method with its networks.

        Args:
            device: of the networks.
            image_of: gives what is `seen` of a case.
        """
