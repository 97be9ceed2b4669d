"""Which scans are unlike those that a model was trained on, by what its networks compute.

A network that is sure of a scan unlike all that it has seen has no other way to say so. The
energy of its logits and the Mahalanobis distance of its bottleneck's features
(`evaluation.shift`) are compared with those of in-domain test subjects. A subject's score is the
largest of its volumes, and the limit the conformal quantile of these scores, so that of scans like
the training ones no larger share than 1 - level is beyond it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.evaluation.conformal import LEVELS, quantile_ranks
from cardiouq.evaluation.shift import FeatureLaw, distances_from_others

MEASURES = {"energy": "energy", "mahalanobis": "Mahalanobis distance"}
"""Column -> as it is printed."""


def familiar_activations(activations: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """What a model says of its in-domain test volumes, without names.

    Args:
        activations: rows of `activations.csv` of the method.
        cases: case and subject of each volume in domain.

    Returns:
        Rows of subject (a number from 0), energy, mahalanobis (distance from the volumes of all
        other subjects) and channel_0 on.
    """
    rows = activations.merge(cases, on="case", validate="1:1")
    everywhere = np.ones(len(rows), bool)
    of_all = {
        "subject": rows.groupby("subject").ngroup(),
        "energy": rows["energy"],
        "mahalanobis": distances_from_others(rows, everywhere),
    }
    return pd.concat([pd.DataFrame(of_all), rows.filter(regex=r"^channel_\d+$")], axis=1)


class Familiar:
    """What scans like the training ones are like.

    Attributes:
        n_subjects: that the limits are set on.
        level: share of scans that the limits are to hold, the highest of the intervals' that there
            are subjects enough for; None if there are too few for any.
        limits: the largest that each of `MEASURES` may be; none without a level.
    """

    def __init__(self, known: pd.DataFrame) -> None:
        """Learn from rows of `familiar_activations`; of none, nothing is known."""
        n = self.n_subjects = known["subject"].nunique()
        ranks = quantile_ranks(np.array([n]))[:, 0]
        enough = [(level, rank) for level, rank in zip(LEVELS, ranks, strict=True) if rank <= n]
        self.level: float | None = None
        self.limits: dict[str, float] = {}
        if enough:
            self.level, rank = enough[-1]
            scores = known.groupby("subject")[[*MEASURES]].max()
            self.limits = {name: float(np.sort(scores[name])[rank - 1]) for name in MEASURES}
        self._law = FeatureLaw(known)

    def about(self) -> dict[str, Any]:
        """What is called unlike, for results."""
        return {"n_subjects": self.n_subjects, "level": self.level, "limits": self.limits}

    def measured(self, activations: pd.DataFrame) -> list[dict[str, float]]:
        """What there is a limit of, for each row of `Activations.table`."""
        rows = activations.assign(mahalanobis=self._law.distances(activations))
        return [{name: float(row[name]) for name in self.limits} for _, row in rows.iterrows()]

    def beyond(self, measured: Mapping[str, float]) -> Iterator[str]:
        """Say which of the measures of a frame are beyond their limits, and how far."""
        for name, limit in self.limits.items():
            if (value := measured[name]) > limit:
                what = f"{MEASURES[name]} {value:.4g}"
                yield f"{what}, limit {limit:.4g} of {self.n_subjects} subjects"
