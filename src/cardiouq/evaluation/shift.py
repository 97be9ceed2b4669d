"""Detection of shift: does uncertainty tell volumes of another distribution from those in domain?

Nothing is said of the segmentation, which may be good: that is failure detection. Volumes of a test
set are told from all in-domain ones, distorted scans from the undistorted ones of their subjects.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import StandardScaler

from cardiouq.errors import CardiouqError
from cardiouq.evaluation.bootstrap import intervals, subject_weights
from cardiouq.evaluation.pooled import pooled
from cardiouq.evaluation.ranking import Ranking
from cardiouq.evaluation.statistics import AGREEMENTS, VOXEL_UNCERTAINTIES
from cardiouq.seeds import derive
from cardiouq.structures import FOREGROUND

Floats = NDArray[np.float64]

CERTAINTIES = ("confidence", *AGREEMENTS, "largest_logit")
"""Columns that fall as uncertainty grows."""
UNCERTAINTIES = (*VOXEL_UNCERTAINTIES, "assd_within_mm", "energy", "mahalanobis")
CASE = ["method", "test_set", "case", "subject"]


def detect_shift(
    scores: pd.DataFrame,
    voxels: pd.DataFrame,
    activations: pd.DataFrame,
    in_domain: Collection[str],
    distorted: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    seed: int,
) -> pd.DataFrame:
    """Compute how well each uncertainty tells each test set from what is in domain.

    Agreements, the estimated Dice, the forest's and ASSD_within are of the whole foreground.

    Args:
        scores, voxels, activations: rows of `scores.csv`, `voxels.csv` and `activations.csv` of all
            methods.
        in_domain: names of the test sets that are in domain.
        distorted: from `Study.distorted_test_sets`.
        settings: the study's `evaluation.bootstrap`.
        seed: the study's, for the resamples.

    Returns:
        Rows of method, test_set, by (the uncertainty), auroc, its interval (low, high) over
        resamples of the subjects, n_cases and n_subjects (of the test set), n_reference (volumes
        that they are told from) and n_empty (volumes of both in which reference or prediction has
        no foreground).

    Raises:
        CardiouqError: a case has no activations.
    """
    of_foreground = scores[scores["structure"] == FOREGROUND]
    empty = of_foreground["reference_empty"] | of_foreground["predicted_empty"]
    columns = [*CASE, "empty", *AGREEMENTS, "assd_within_mm"]
    values = of_foreground.assign(empty=empty)[columns].merge(
        voxels[[*CASE, *VOXEL_UNCERTAINTIES, "confidence"]], on=CASE, validate="1:1"
    )
    values = _with_activations(values, activations)
    rows = []
    for method, of_method in values.groupby("method", sort=False):
        is_in_domain = pooled(of_method, in_domain)
        distances = distances_from_others(of_method, is_in_domain)
        of_method = of_method.assign(mahalanobis=distances)
        of_test_sets = {str(name): part for name, part in of_method.groupby("test_set", sort=False)}
        references = of_method[is_in_domain]
        for test_set, shifted in of_test_sets.items():
            reference = references
            if test_set in distorted:
                original = of_test_sets[distorted[test_set]["of"]]
                reference = original[original["subject"].isin(set(shifted["subject"]))]
            keys = {"method": method, "test_set": test_set}
            rows += [keys | row for row in _detect(reference, shifted, settings, seed)]
    return pd.DataFrame(rows)


def _with_activations(values: pd.DataFrame, activations: pd.DataFrame) -> pd.DataFrame:
    keys = ["method", "case"]
    found = values.merge(activations, on=keys, how="left", validate="m:1", indicator=True)
    missing = found[found["_merge"] == "left_only"]
    if len(missing):
        first = missing.iloc[0]
        raise CardiouqError(
            f"activations.csv of {first['method']}: no row of {first['case']}; expected one of "
            "every case that is predicted; predict this method again"
        )
    return found


class FeatureLaw:
    """Mean and covariance of the bottleneck's features of volumes.

    The covariance is shrunk after Ledoit and Wolf, as there are more channels than volumes.
    """

    def __init__(self, volumes: pd.DataFrame) -> None:
        """Learn from rows with a column for each channel, as of `activations.csv`."""
        channels = volumes.filter(regex=r"^channel_\d+$").dropna(axis="columns")
        self._channels = list(channels) if len(channels) else []
        if self._channels:
            self._scaler = StandardScaler().fit(channels)
            self._law = LedoitWolf().fit(self._scaler.transform(channels))

    def distances(self, volumes: pd.DataFrame) -> Floats:
        """Mahalanobis distance of each volume; 0 if those learnt from have no features."""
        if not self._channels:
            return np.zeros(len(volumes))
        scaled = self._scaler.transform(volumes[self._channels])
        return np.asarray(np.sqrt(self._law.mahalanobis(scaled)))


def distances_from_others(rows: pd.DataFrame, in_domain: NDArray[np.bool_]) -> Floats:
    """Mahalanobis distance of each volume's features from those in domain of other subjects.

    Distances from a law of more subjects are shorter. So each law leaves out one in-domain subject:
    a subject's own volumes are measured by the law without it, those of a subject from elsewhere by
    the law without the one that its name picks, whichever other test sets there are.

    It is 0 where there are no features or no such subjects.
    """
    found = np.zeros(len(rows))
    subjects = rows["subject"].to_numpy(str)
    known = np.unique(subjects[in_domain])
    left_out = {name: known[derive(0, name) % len(known)] for name in subjects}
    left_out |= {name: name for name in known}
    for subject in known:
        learnt = in_domain & (subjects != subject)
        asked = np.array([left_out[name] == subject for name in subjects])
        if learnt.any():
            found[asked] = FeatureLaw(rows[learnt]).distances(rows[asked])
    return found


def _detect(
    reference: pd.DataFrame, shifted: pd.DataFrame, settings: Mapping[str, Any], seed: int
) -> Iterator[dict[str, Any]]:
    """The rows of one method and test set."""
    resamples, confidence = settings["resamples"], settings["confidence"]
    both = pd.concat([reference, shifted])
    weights = _resample(reference, shifted, resamples, seed)
    is_shifted = np.arange(len(both)) >= len(reference)
    n_subjects = min(part["subject"].nunique() for part in (reference, shifted))
    for by in (*UNCERTAINTIES, *CERTAINTIES):
        uncertainty = both[by].to_numpy(np.float64) * (-1 if by in CERTAINTIES else 1)
        auroc = Ranking(uncertainty, weights).auroc_failure(is_shifted)
        low, high = intervals(auroc[None], confidence, n_subjects)[:, 0]
        yield {
            "by": by,
            "auroc": auroc[0],
            "low": low,
            "high": high,
            "n_cases": len(shifted),
            "n_subjects": shifted["subject"].nunique(),
            "n_reference": len(reference),
            "n_empty": both["empty"].sum(),
        }


def _resample(reference: pd.DataFrame, shifted: pd.DataFrame, resamples: int, seed: int) -> Floats:
    """Weights of the rows of both in resamples of their subjects, (1 + resamples, rows).

    Where they share subjects, all are drawn together, so that a volume is as often in both and a
    distorted scan stays with what it is made from; else each part on its own.
    """
    parts = [part["subject"].to_numpy(str) for part in (reference, shifted)]
    if np.isin(parts[0], parts[1]).any():
        parts = [np.concatenate(parts)]
    return np.hstack(
        [subject_weights(part, resamples, derive(seed, *np.unique(part))) for part in parts]
    )
