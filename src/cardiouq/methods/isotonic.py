"""Isotonic calibration: monotone maps of probabilities (Zadrozny and Elkan, KDD 2002)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardiouq.methods.base import Fitted, Runs, Style
from cardiouq.methods.settings import setting
from cardiouq.methods.single import Rescaled
from cardiouq.recipes.schedule import Schedule
from cardiouq.structures import IGNORED, N_CLASSES

LEAST = 1e-6
"""Least probability, and least distance from 1, on either side of the map."""
LOG_ODDS = np.linspace(np.log(LEAST), -np.log(LEAST), 513)
"""Where voxels are counted, by the nearest, so that memory does not grow with the data."""
SLOPE = 1e-5
"""By which a map's logarithm rises from one of `LOG_ODDS` to the next where isotonic regression is
flat, so that two classes do not become equal."""


@dataclass(frozen=True)
class Method(Rescaled):
    """Each class's probability by isotonic regression on held-out voxels, then normalised.

    Where each class has a map of its own the segmentation may change; one that all classes share
    keeps it on the network's grid (Zhang et al., ICML 2020); resampling to the scan's changes some
    voxels of boundaries.
    """

    usual_style = Style("#272633", "4")

    maps: Literal["one_vs_rest", "shared"] = setting(
        "one_vs_rest",
        help="a map of each class, or one that all `shared`, which keeps the segmentation on"
        " the network's grid; resampling to the scan's changes some voxels of boundaries",
    )

    def fit(self, runs: Runs, schedule: Schedule) -> Fitted:
        """The probability of each class at each of `LOG_ODDS`, (classes, 513)."""
        voxels, hits = np.zeros((2, N_CLASSES, len(LOG_ODDS)))
        for logits, labels in self.held_out(runs, schedule):
            nearest = places(logits).round().long().movedim(1, 0).cpu().numpy()
            for value in range(N_CLASSES):
                voxels[value] += _counted(nearest[value][labels != IGNORED])
                hits[value] += _counted(nearest[value][labels == value])
        if self.maps == "shared":
            voxels[:], hits[:] = voxels.sum(0), hits.sum(0)
        probabilities = [monotone(*of_class) for of_class in zip(voxels, hits, strict=True)]
        return {"probabilities": np.stack(probabilities)}

    def rescaled(self, logits: Tensor, fitted: Fitted) -> Tensor:
        """Logarithms of the mapped probabilities, which are linear between `LOG_ODDS`."""
        place = places(logits)
        below = place.long().clamp_max(len(LOG_ODDS) - 2)
        table = torch.as_tensor(fitted["probabilities"]).to(logits)
        of_class = torch.arange(len(table), device=logits.device).view(1, -1, 1, 1)
        mapped = table[of_class, below].lerp(table[of_class, below + 1], place - below)
        # normalised, as they tell no energy of the network
        return mapped.log().add(place, alpha=SLOPE).log_softmax(1)


def places(logits: Tensor) -> Tensor:
    """Where in `LOG_ODDS` the probability of each class lies, from 0 to 512."""
    first, second = LOG_ODDS[:2]
    odds = logits.softmax(1).logit(eps=LEAST)
    return odds.sub(first).div(second - first).clamp(0, len(LOG_ODDS) - 1)


def monotone(voxels: NDArray[np.float64], hits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities at `LOG_ODDS` that do not fall, of the highest likelihood.

    Args:
        voxels: counted there.
        hits: those of them that are of the class.
    """
    from sklearn.isotonic import IsotonicRegression

    seen = voxels > 0
    regression = IsotonicRegression(y_min=LEAST, y_max=1 - LEAST, out_of_bounds="clip")
    regression.fit(LOG_ODDS[seen], hits[seen] / voxels[seen], sample_weight=voxels[seen])
    probabilities: NDArray[np.float64] = regression.predict(LOG_ODDS)
    return probabilities


def _counted(nearest: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(nearest, minlength=len(LOG_ODDS))
