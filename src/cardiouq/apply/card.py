"""The card of a model: what people should know before they use it."""

from collections.abc import Mapping
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from cardiouq.data.fetch.sources import Source
from cardiouq.evaluation.conformal import LEVELS, quantile_ranks
from cardiouq.structures import STRUCTURES


def model_card(
    said: Mapping[str, Any],
    training: pd.DataFrame,
    scores: pd.DataFrame,
    terms: Source | None,
    precision: str,
) -> str:
    """Markdown of a model's `README.md`.

    Args:
        said: what `model.json` says.
        training: rows of the case table that the model was trained on.
        scores: rows of `scores.csv` of the method on the in-domain test sets.
        terms: of the training scans, if they are known.
        precision: of the weights, and why, as `storage` says it.
    """
    return f"""# {said["label"]}: {", ".join(said["structures"])}

A model of CardioUQ, exported from the study
"{said["study"]}", method `{said["name"]}`. It segments short-axis MRI slice by slice, and says how
sure it is.

    cardiouq apply THIS_FOLDER SCANS OUT

**Not a medical device.** Nothing here has been validated for diagnosis or treatment.

## Trained on

{_training(training)}

{_terms(said["licence"], terms)}

## How good it is

{_quality(scores)}

## What is in the folder

| file | |
|---|---|
| `model.json` | structures, method, what it learnt from held-out subjects, thresholds |
| `plan.json` | grid, patches and network |
| `calibration.csv` | errors and spreads that intervals are calibrated on, without names |
| `activations.csv` | of the same subjects, by which scans unlike the training ones are told |
| `<member>/epoch-<k>.safetensors` | weights {precision} |
| `SHA256SUMS` | hash of each file; `sha256sum -c SHA256SUMS` checks them |

Everything is data: nothing is executed when the model is read.
"""


def _training(training: pd.DataFrame) -> str:
    """Whose scans it was trained on."""
    names = ", ".join(sorted(set(training["dataset"])))
    vendors = ", ".join(sorted(set(training["vendor"]) - {""}))
    return (
        f"{training['subject'].nunique()} subjects, {len(training)} volumes of {names}"
        f"{f', of the vendors {vendors}' if vendors else ''}. Scans of other scanners, protocols "
        "or diseases are outside of what its numbers and intervals are about."
    )


def _terms(licence: str, terms: Source | None) -> str:
    """On which terms weights and training scans are."""
    stated = f"Licence of the weights: {licence}."
    if terms is not None:
        stated = (
            f"Licence of the weights: {licence}, that of the training scans, which are given at "
            f"{terms.apply_at}; cite doi {terms.citation}."
        )
    return f"{stated} CardioUQ itself is under Apache 2.0."


def _quality(scores: pd.DataFrame) -> str:
    """Mean scores of each structure on the in-domain test sets."""
    if scores.empty:
        return "The study has no test set of the training scans' kind, so nobody knows."
    alike = scores[scores["structure"].isin(STRUCTURES)].groupby("structure", sort=False)
    columns = {"dice": "Dice", "assd_mm": "ASSD (mm)", "estimated_dice": "Dice that it expects"}
    table = alike[list(columns)].mean().rename(columns=columns)
    printed = tabulate(table, ["structure", *table.columns], tablefmt="github", floatfmt=".3f")
    subjects = scores["subject"].nunique()
    needed = ", ".join(f"{_fewest(level)} for {100 * level:g} %" for level in LEVELS)
    return (
        f"On {subjects} subjects of the same kind that it was not trained on (mean over "
        f"{scores['case'].nunique()} volumes):\n\n{printed}\n\nIntervals of new scans are "
        f"calibrated on these subjects, of whom they need at least {needed}. So are the limits "
        "beyond which a scan is called unlike the training scans."
    )


def _fewest(level: float) -> int:
    """The fewest subjects that an interval of a level can be calibrated on."""
    return next(n for n in count(1) if quantile_ranks(np.array([n]), [level]).item() <= n)
