"""Selection of the volumes and slices that figures show: by rule, never by hand."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cardiouq.errors import CardiouqError
from cardiouq.structures import IGNORED, STRUCTURES, label_of

LabelMap = NDArray[np.integer]

SLIVER = 0.1
"""Share of a structure's largest area below which a slice does not count as holding it."""


class Volume(NamedTuple):
    """A volume of a test set; `failure` says whether it was chosen as one."""

    test_set: str
    case: str
    failure: bool


def rank_volumes(scores: pd.DataFrame) -> pd.DataFrame:
    """Rank volumes by their Dice, averaged over all methods and structures in `scores`.

    The foreground is all structures at once, and not one more of them.

    Args:
        scores: rows of `scores.csv`.

    Returns:
        Rows of subject, test_set, case and dice, the worst first; equal ones in the order of test
        set and case names.
    """
    of_structures = scores[scores["structure"].isin(list(STRUCTURES))]
    means = of_structures.groupby(["subject", "test_set", "case"])["dice"].mean().reset_index()
    return means.sort_values(["dice", "test_set", "case"], kind="stable", ignore_index=True)


def success_and_failures(scores: pd.DataFrame, n_failures: int) -> list[Volume]:
    """Choose the volume that was segmented best, and the worst ones of other subjects.

    The rule: rank volumes (`rank_volumes`). The success is the best; the failures are the worst of
    each subject, worst first, and no subject is shown twice.

    Args:
        scores: rows of `scores.csv`.
        n_failures: how many failures to choose; fewer if there are not as many subjects.

    Raises:
        CardiouqError: there are no scores.
    """
    if scores.empty:
        raise CardiouqError("no scores to choose examples from; run the evaluation first")
    means = rank_volumes(scores)
    success = means[means["dice"] == means["dice"].max()].iloc[0]
    others = means[means["subject"] != success["subject"]]
    failures = others.drop_duplicates("subject").head(n_failures)
    return [
        Volume(success["test_set"], success["case"], failure=False),
        *(Volume(row.test_set, row.case, failure=True) for row in failures.itertuples()),
    ]


def mean_dice(reference: LabelMap, prediction: LabelMap) -> float:
    """Dice averaged over the structures, where annotated; both masks empty count 1, one empty 0."""
    values = []
    annotated = reference != IGNORED
    for structure in STRUCTURES:
        first, second = (labels == label_of(structure) for labels in (reference, prediction))
        second &= annotated
        size = int(first.sum()) + int(second.sum())
        values.append(1.0 if size == 0 else 2 * int((first & second).sum()) / size)
    return float(np.mean(values))


def choose_slice(reference: LabelMap, predictions: Sequence[LabelMap], failure: bool) -> int:
    """Choose the slice of a volume that a figure shows.

    The rule: of the annotated slices that hold all structures in the reference (or, if there is
    none, the most structures), that with the worst Dice, averaged over predictions and structures,
    for a failure, and that with the median (of an even number the lower) for a success. A slice
    holds a structure if it shows at least a tenth of its largest area, not only a sliver.

    Args:
        reference: labels, (slices, rows, columns).
        predictions: labels of several methods or checkpoints, each (slices, rows, columns).
        failure: whether the volume was chosen as a failure.
    """
    values = [label_of(structure) for structure in STRUCTURES]
    areas = np.array([[(labels == value).sum() for value in values] for labels in reference])
    n_structures = (areas >= np.maximum(1, SLIVER * areas.max(0))).sum(1)
    n_structures[(reference == IGNORED).all((1, 2))] = -1
    candidates = np.flatnonzero(n_structures == n_structures.max()).tolist()
    dice = [
        float(np.mean([mean_dice(reference[z], labels[z]) for labels in predictions]))
        for z in candidates
    ]
    ranked: list[int] = [candidates[i] for i in np.argsort(dice, kind="stable").tolist()]
    return ranked[0] if failure else ranked[(len(ranked) - 1) // 2]
