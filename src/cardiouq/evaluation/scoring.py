"""Scores of one method: every structure of every case of every test set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cardiouq.data.scans import load_volume, read_label
from cardiouq.errors import CardiouqError
from cardiouq.evaluation.calibration import confidence_bins
from cardiouq.evaluation.overlap import dice
from cardiouq.evaluation.volumes import volume_ml
from cardiouq.structures import STRUCTURES, label_of

PER_CASE = ["case", "subject", "phase", "pathology", "vendor"]


def score_method(
    method: str,
    predictions: Path,
    cases: pd.DataFrame,
    test_sets: pd.DataFrame,
    settings: Mapping[str, Any],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score one method's predictions, one case in memory at a time.

    Args:
        method: the method's key, written into every row.
        predictions: folder with a folder per test set, each with `<case>_segmentation.nii.gz`
            and `<case>_probabilities.npy`.
        cases: the case table.
        test_sets: rows of test_set and case.
        settings: the study's `evaluation` block.

    Returns:
        scores: per test set, case and structure the Dice coefficient per volume, the volumes of
            reference and prediction in ml, and whether either is empty.
        calibration: per test set and case the bins of confidence.

    Raises:
        CardiouqError: a prediction is missing or unfit, or a test set names an unknown case.
    """
    rows = {row.case: row for row in cases.itertuples(index=False)}
    unknown = sorted(set(test_sets["case"]) - set(rows))
    if unknown:
        raise CardiouqError(
            f"test_sets.csv names cases that cases.csv has not: {', '.join(unknown)}; "
            "delete both and run the data step again"
        )
    ece = {name: settings["ece"][name] for name in ("bins", "box", "margin")}
    scores: list[dict[str, Any]] = []
    calibration: list[pd.DataFrame] = []
    for test_set, name in test_sets[["test_set", "case"]].itertuples(index=False):
        case: Any = rows[name]
        stem = predictions / test_set / name
        segmentation_file = _existing(stem.with_name(f"{name}_segmentation.nii.gz"))
        probabilities_file = _existing(stem.with_name(f"{name}_probabilities.npy"))
        reference = read_label(case)
        segmentation = load_volume(segmentation_file, -1)
        if segmentation.shape != reference.shape:
            raise CardiouqError(
                f"{segmentation_file}: shape {segmentation.shape} (slices, rows, columns); "
                f"expected the reference's {reference.shape}; predict this method again"
            )
        keys = {"method": method, "test_set": test_set}
        described = keys | {column: getattr(case, column) for column in PER_CASE}
        spacing = (case.spacing_z, case.spacing_y, case.spacing_x)
        scores += [
            described | {"structure": structure} | measures
            for structure, measures in _score_structures(segmentation, reference, spacing).items()
        ]
        try:
            bins = confidence_bins(np.load(probabilities_file), reference, **ece)
        except CardiouqError as error:
            raise CardiouqError(f"{probabilities_file}: {error}") from error
        calibration.append(bins.assign(**keys, case=name)[[*keys, "case", *bins.columns]])
    return pd.DataFrame(scores), pd.concat(calibration, ignore_index=True)


def _score_structures(
    segmentation: NDArray[np.integer],
    reference: NDArray[np.integer],
    spacing: tuple[float, float, float],
) -> dict[str, dict[str, Any]]:
    scores = {}
    for structure in STRUCTURES:
        predicted = segmentation == label_of(structure)
        expected = reference == label_of(structure)
        scores[structure] = {
            "dice": dice(predicted, expected),
            "reference_ml": volume_ml(expected, spacing),
            "predicted_ml": volume_ml(predicted, spacing),
            "reference_empty": not expected.any(),
            "predicted_empty": not predicted.any(),
        }
    return scores


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise CardiouqError(
            f"{path}: missing; expected the prediction of every case of the test set; "
            "predict this method again"
        )
    return path
