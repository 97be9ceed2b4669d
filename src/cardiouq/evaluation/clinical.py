"""Clinical quantities: ventricular volumes, ejection fractions, myocardial mass."""

from collections.abc import Sequence
from itertools import compress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cardiouq.errors import CardiouqError
from cardiouq.structures import HEART, STRUCTURES

MYOCARDIAL_DENSITY = 1.05
"""Density of the myocardium in g/ml."""
UNITS = {
    "LVEDV": "ml",
    "LVESV": "ml",
    "LVEF": "%",
    "RVEDV": "ml",
    "RVESV": "ml",
    "RVEF": "%",
    "LVM": "g",
}
"""Quantity -> unit; LVM is at ED, without papillary muscles if the reference calls them blood."""

NEEDS = {"LVM": [("MYO", "ED")]} | {
    f"{ventricle}{quantity}": [(ventricle, phase) for phase in phases]
    for ventricle in ("LV", "RV")
    for quantity, phases in {"EDV": ["ED"], "ESV": ["ES"], "EF": ["ED", "ES"]}.items()
}
"""Quantity -> the structures and phases that it is read off."""

Floats = NDArray[np.float64]


def clinical_quantities(ml: dict[tuple[str, str], Floats]) -> dict[str, Floats]:
    """Compute the clinical quantities of one subject from its volumes.

    Args:
        ml: (structure, phase) -> volumes in ml, (n,): one per sample, say; index i is of sample i
            in both phases. Where samples are networks (ensembles, checkpoints, BBB), what one gets
            wrong in both cancels as it should. Where they are drawn anew for each scan
            (MC-Dropout, test-time augmentation, SSN, Evidential), nothing cancels.

    Returns:
        Quantity -> (n,) in `UNITS` and in their order, where there is all that it `NEEDS`. A
        ventricle that was missed has 0 ml, and an ejection fraction of 0 if that is at
        end-diastole and of 100 if it is at end-systole alone, so that it stays in every mean as
        the failure it is.
    """
    return {
        quantity: _computed(quantity, [ml[part] for part in NEEDS[quantity]])
        for quantity in UNITS
        if ml.keys() >= set(NEEDS[quantity])
    }


def _computed(quantity: str, volumes: Sequence[Floats]) -> Floats:
    """A quantity of the volumes that it needs."""
    if quantity == "LVM":
        return MYOCARDIAL_DENSITY * volumes[0]
    if not quantity.endswith("EF"):
        return volumes[0]
    filled, emptied = volumes
    stroke = filled - emptied
    return 100 * np.divide(stroke, filled, out=np.zeros_like(stroke), where=filled > 0)


def fair_crps(samples: Floats, truth: float) -> float:
    """Continuous ranked probability score of samples (n,), in their unit, small is good.

    It is the mean distance of the samples from the truth less half the mean distance of two
    different samples from each other: the fair form (Ferro, Q. J. R. Meteorol. Soc. 2014), whose
    expectation does not depend on n, so that methods of few samples and of many compare. Of one
    sample it is the absolute error; of several that happen to lie well it may be below 0.
    """
    n = len(samples)
    apart = np.abs(samples[:, None] - samples).sum() / max(n * (n - 1), 1)
    return float(np.abs(samples - truth).mean() - apart / 2)


def _check_told_apart(scores: pd.DataFrame, keys: list[str]) -> None:
    with_phase = scores[scores["phase"].isin(["ED", "ES"])]
    repeated = with_phase[with_phase.duplicated(keys, keep=False)]
    if len(repeated):
        first = repeated.iloc[0]
        raise CardiouqError(
            f"subject {first['subject']} has cases {repeated['case'].unique()[:5].tolist()} at one "
            f"phase of one visit ({first['visit'] or 'unnamed'}); expected one at ED and one at "
            "ES. Tell them apart by `visit` in the data set's table (docs/data.md)"
        )


def score_subjects(scores: pd.DataFrame, samples: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Compute the clinical quantities of every visit of a subject that has both ED and ES.

    Each has the interval that the method's samples give it. A study without the heart's structures
    has none.

    Args:
        scores: rows of `scores.csv` of one method.
        samples: rows of `sample_volumes.csv` of the same method.
        confidence: of the intervals, as 0.95.

    Returns:
        Rows of method, test_set, subject, visit, quantity, unit, reference, predicted (from the
        segmentation of the mean), low, high (percentiles over the samples; one sample is an
        interval of no width), sd (over the samples; of one 0), crps (`fair_crps`), n_samples and
        empty (whether a needed structure is missing in reference or prediction).

    Raises:
        CardiouqError: two cases are of one phase of a visit, so that no quantity can be read off.
    """
    tail = (1 - confidence) / 2
    keys = ["method", "test_set", "subject", "visit"]
    scores, samples = (table.assign(visit=table.get("visit", "")) for table in (scores, samples))
    _check_told_apart(scores, [*keys, "phase", "structure"])
    drawn = dict(list(samples.groupby(keys, sort=False)))
    rows = []
    for key, of_subject in scores.groupby(keys, sort=False):
        if not ({"ED", "ES"} <= set(of_subject["phase"]) and set(HEART) <= set(STRUCTURES)):
            continue
        parts = list(zip(of_subject["structure"], of_subject["phase"], strict=True))
        reference, predicted = (
            clinical_quantities(
                dict(zip(parts, of_subject[column].to_numpy()[:, None], strict=True))
            )
            for column in ("reference_ml", "predicted_ml")
        )
        of_part: Any = drawn[key].sort_values("sample").groupby(["structure", "phase"])["ml"]
        by_sample = clinical_quantities({part: ml.to_numpy() for part, ml in of_part})
        is_missing = of_subject["reference_empty"] | of_subject["predicted_empty"]
        missing = set(compress(parts, is_missing))
        for quantity, unit in UNITS.items():
            low, high = np.quantile(by_sample[quantity], [tail, 1 - tail])
            rows.append(
                dict(zip(keys, key, strict=True))
                | {
                    "quantity": quantity,
                    "unit": unit,
                    "reference": reference[quantity][0],
                    "predicted": predicted[quantity][0],
                    "low": low,
                    "high": high,
                    "sd": by_sample[quantity].std(),
                    "crps": fair_crps(by_sample[quantity], reference[quantity][0]),
                    "n_samples": len(by_sample[quantity]),
                    "empty": not missing.isdisjoint(NEEDS[quantity]),
                }
            )
    columns = [*keys, "quantity", "unit", "reference", "predicted", "low", "high", "sd", "crps"]
    return pd.DataFrame(rows, columns=[*columns, "n_samples", "empty"])
