"""Scores of one method: every structure of every volume and slice of every test set."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cardiouq.data.readers.scans import load_prediction, read_label
from cardiouq.errors import CardiouqError
from cardiouq.evaluation.aggregation import aggregate
from cardiouq.evaluation.calibration import (
    adaptive_calibration_error,
    confidence_bins,
    heart_box,
    structure_bins,
)
from cardiouq.evaluation.clinical import score_subjects
from cardiouq.evaluation.forest import foretell_dice
from cardiouq.evaluation.heat_maps import (
    estimated_dice,
    heat_map,
    precision_certain,
    sensitivity_possible,
)
from cardiouq.evaluation.overlap import aula, dice, mean_pairwise_dice
from cardiouq.evaluation.probabilities import (
    brier_score,
    check_probabilities,
    negative_log_likelihood,
)
from cardiouq.evaluation.surface import assd_within, margin_mm, occupied_box, surface_distances
from cardiouq.evaluation.volumes import volume_ml
from cardiouq.files.reading import read_array, was_made
from cardiouq.structures import FOREGROUND, IGNORED, N_CLASSES, STRUCTURES, mask_of

PER_CASE = ["case", "subject", "visit", "phase", "pathology", "vendor"]


@dataclass(frozen=True)
class Prediction:
    """Prediction of one case, checked against its reference.

    Where nobody annotated, reference, segmentation, samples and probabilities are background: no
    structure is seen there, by neither. Maps of uncertainty are as they were predicted.

    Attributes:
        annotated: where someone did, (slices, rows, columns).
        reference: labels (slices, rows, columns).
        segmentation: labels of the mean probabilities, same shape.
        probabilities: mean probabilities (classes, slices, rows, columns).
        samples: labels (samples, slices, rows, columns).
        entropy: of the mean probabilities, in bits, (slices, rows, columns).
        expected_entropy: mean over the samples, likewise.
        mutual_information: of class and sample, in bits, likewise.
        variance: of the samples' probabilities, mean over classes, likewise.
        spacing: (z, y, x) in mm.
    """

    annotated: NDArray[np.bool_]
    reference: NDArray[np.uint8]
    segmentation: NDArray[np.uint8]
    probabilities: NDArray[np.float16]
    samples: NDArray[np.uint8]
    entropy: NDArray[np.float32]
    expected_entropy: NDArray[np.float32]
    mutual_information: NDArray[np.float32]
    variance: NDArray[np.float32]
    spacing: tuple[float, float, float]

    @property
    def uncertainty(self) -> dict[str, NDArray[np.floating]]:
        """Name of a measure of uncertainty -> its map (slices, rows, columns)."""
        return {
            "predictive_entropy_bits": self.entropy,
            "expected_entropy_bits": self.expected_entropy,
            "mutual_information_bits": self.mutual_information,
            "variance": self.variance,
        }


def read_prediction(case: Any, folder: Path) -> Prediction:
    """Read and check the prediction of a case.

    Args:
        case: a row of the case table.
        folder: of the method's predictions of one test set.

    Raises:
        CardiouqError: naming the file that is missing, of another shape or holds what it must not.
    """
    reference = read_label(case)
    annotated = reference != IGNORED
    fully_annotated = bool(annotated.all())  # then nothing is touched
    reference = reference if fully_annotated else reference * annotated

    def volume(name: str) -> NDArray[Any]:
        file = folder / f"{case.case}_{name}.nii.gz"
        array = load_prediction(file)
        if array.shape[-3:] != reference.shape or array.ndim != 3 + (name == "samples"):
            raise CardiouqError(
                f"{file}: shape {array.shape} (slices, rows, columns); expected the reference's "
                f"{reference.shape}; predict this method again"
            )
        if name not in ("segmentation", "samples"):
            return array
        if array.max(initial=0) >= N_CLASSES:
            raise CardiouqError(
                f"{file}: holds labels up to {array.max()}; expected 0 to {N_CLASSES - 1}; predict "
                "this method again"
            )
        if name == "segmentation":
            _check_segmentation(file, array, probabilities)
        return array if fully_annotated else array * annotated

    probabilities_file = folder / f"{case.case}_probabilities.npy"
    probabilities = read_array(probabilities_file)
    try:
        check_probabilities(probabilities, reference)
    except CardiouqError as error:
        raise CardiouqError(f"{probabilities_file}: {error}") from error
    segmentation = volume("segmentation")
    if not fully_annotated:
        probabilities[:, ~annotated] = 0
        probabilities[0, ~annotated] = 1
    several = was_made(folder / f"{case.case}_samples.nii.gz")
    entropy = volume("entropy")
    mutual_information = volume("mutual_information") if several else np.zeros_like(entropy)
    has_own = was_made(folder / f"{case.case}_expected_entropy.nii.gz")
    return Prediction(
        annotated=annotated,
        reference=reference,
        segmentation=segmentation,
        probabilities=probabilities,
        samples=volume("samples") if several else segmentation[None],
        entropy=entropy,
        expected_entropy=volume("expected_entropy") if has_own else entropy - mutual_information,
        mutual_information=mutual_information,
        variance=volume("variance") if several else np.zeros_like(entropy),
        spacing=(case.spacing_z, case.spacing_y, case.spacing_x),
    )


def _check_segmentation(
    file: Path, segmentation: NDArray[np.uint8], probabilities: NDArray[np.float16]
) -> None:
    """Raise a CardiouqError unless a segmentation is where its probabilities are largest: one that
    was chosen before they were rounded is one of several that are."""
    chosen = np.take_along_axis(probabilities, segmentation[None], 0)[0]
    others = np.count_nonzero(chosen != probabilities.max(0))
    if others:
        raise CardiouqError(
            f"{file}: {others} voxels are of another class than the most probable one of the "
            "probabilities beside it; predict this method again"
        )


def score_method(
    method: str,
    predictions: Path,
    cases: pd.DataFrame,
    test_sets: pd.DataFrame,
    settings: Mapping[str, Any],
    learnt_from: Collection[str],
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Score one method's predictions, with one case in memory at a time.

    Args:
        method: the method's key, written into every row.
        predictions: folder with a folder per test set.
        test_sets: rows of test_set and case.
        settings: the study's `evaluation` block.
        learnt_from: test sets that forests learn from.
        seed: of the forests.

    Returns:
        The tables of `SCORE_TABLES`.
        scores, slice_scores: per volume (slice) and structure, the whole foreground among them,
            overlap, distances in mm, agreement of the samples, what the heat map says and what a
            forest foretells, and whether either mask is empty; per volume also its size and the
            margin that the prediction needs.
        voxels, slice_voxels: per volume (slice) means over all of its voxels: proper scores,
            uncertainty and confidence, the largest probability; aggregations of the entropy; per
            volume also the calibration errors inside the heart's box.
        calibration: per volume the bins of confidence inside the heart's box.
        image_calibration: per volume those of each structure, over all of its voxels.
        sample_volumes: per volume, structure and sample the structure's volume in ml.
        subjects: per subject the clinical quantities.

        All are of annotated voxels only. A slice without one has no row; volumes that are
        annotated in part have no clinical quantities, which are of whole ventricles.

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
    parts: dict[str, list[pd.DataFrame]] = defaultdict(list)
    in_part: set[str] = set()
    for test_set, name in test_sets[["test_set", "case"]].itertuples(index=False):
        case: Any = rows[name]
        prediction = read_prediction(case, predictions / test_set)
        if not prediction.annotated.all():
            in_part.add(name)
        found = _score_case(prediction, settings)
        keys = {"method": method, "test_set": test_set}
        keys |= {column: getattr(case, column) for column in PER_CASE}
        for table, scores in found.items():
            columns = [*keys, *scores.columns]
            parts[table].append(scores.assign(**keys)[columns])
    tables = {name: pd.concat(rows, ignore_index=True) for name, rows in parts.items()}
    for level in ("", "slice_"):
        scores, voxels = (tables[level + name] for name in ("scores", "voxels"))
        scores["forest_dice"] = foretell_dice(scores, voxels, learnt_from, seed)
    confidence = settings["bootstrap"]["confidence"]
    scores, volumes = (
        tables[table][~tables[table]["case"].isin(in_part)]
        for table in ("scores", "sample_volumes")
    )
    subjects = score_subjects(scores, volumes, confidence)
    return tables | {"subjects": subjects}


def _score_case(found: Prediction, settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    ece = settings["ece"]
    box = heart_box(found.probabilities, found.reference, ece["box"], ece["margin"])
    annotated = found.annotated
    slices = np.flatnonzero(annotated.any((1, 2)))
    within = annotated[box]
    in_box = found.probabilities[:, *box][:, within], found.reference[box][within]
    maps = {
        "nll_nats": negative_log_likelihood(found.probabilities, found.reference),
        "brier": brier_score(found.probabilities, found.reference),
        **found.uncertainty,
        "confidence": found.probabilities.max(0).astype(np.float64),
    }
    of_volume, of_slices = aggregate(found.entropy, found.segmentation, annotated)
    sample_ml = [
        volume_ml(mask_of(found.samples, structure), found.spacing) for structure in STRUCTURES
    ]
    return {
        "scores": pd.DataFrame(_score_structures(found, settings, by_slice=False)),
        "slice_scores": pd.DataFrame(_score_structures(found, settings, by_slice=True)),
        "voxels": pd.DataFrame(
            {name: [_mean(values, annotated)] for name, values in maps.items()} | of_volume
        ).assign(adaptive_ce=adaptive_calibration_error(*in_box, ece["bins"])),
        "slice_voxels": pd.DataFrame(
            {name: _mean(values, annotated, (1, 2)) for name, values in maps.items()} | of_slices
        )
        .loc[slices]
        .rename_axis("slice")
        .reset_index(),
        "calibration": confidence_bins(*in_box, ece["bins"]),
        "image_calibration": structure_bins(
            found.probabilities[:, annotated], found.reference[annotated]
        ),
        "sample_volumes": pd.DataFrame(
            {
                "structure": np.repeat(STRUCTURES, len(found.samples)),
                "sample": np.tile(np.arange(len(found.samples)), len(STRUCTURES)),
                "ml": np.concatenate(sample_ml),
            }
        ),
    }


def _mean(
    values: NDArray[np.floating],
    annotated: NDArray[np.bool_],
    axes: tuple[int, int] | None = None,
) -> Any:
    """Mean over the annotated voxels, of all or along axes; 0 where there is none."""
    # numpy sums in another order where it is told where
    where: Any = True if annotated.all() else annotated
    total = values.sum(axes, np.float64, where=where)
    return total / np.maximum(np.count_nonzero(annotated, axes), 1)


def _score_structures(
    found: Prediction, settings: Mapping[str, Any], *, by_slice: bool
) -> Iterator[dict[str, Any]]:
    """Rows of one case: per structure, or per slice and structure."""
    spacing = found.spacing[1:] if by_slice else found.spacing
    shape = found.reference.shape[1:] if by_slice else found.reference.shape
    pooled = settings["surface"]["assd"] == "pooled"
    maps = (found.segmentation, found.reference, found.samples)
    # what surrounds the heart in every map costs time only
    occupied = [(labels > 0).any(tuple(range(labels.ndim - 2))) for labels in maps]
    rows, columns = occupied_box(np.logical_or.reduce(occupied))
    for structure in (*STRUCTURES, FOREGROUND):
        predicted, expected, samples = (
            mask_of(labels[..., rows, columns], structure) for labels in maps
        )
        # pairs of slices, or one pair of volumes
        if not by_slice:
            predicted, expected, samples = predicted[None], expected[None], samples[:, None]
        distances = surface_distances(predicted, expected, spacing, shape)
        count = len(samples)
        # no -1, which is any number where no map has any structure
        flat = samples.reshape(count * samples.shape[1], *samples.shape[2:])
        of_mean = np.broadcast_to(predicted, samples.shape).reshape(flat.shape)
        measures = {
            "dice": dice(predicted, expected),
            "assd_mm": distances.assd(pooled),
            "hausdorff_mm": distances.hausdorff(),
            "hd95_mm": distances.hd95(),
            "surface_dice": distances.surface_dice(settings["surface"]["tolerance_mm"]),
            "dice_within": dice(flat, of_mean).reshape(count, -1).mean(0),
            "assd_within_mm": assd_within(samples, predicted, spacing, shape, pooled=pooled),
            "pairwise_dice": mean_pairwise_dice(samples),
            "aula": aula(samples),
            "predicted_empty": distances.sizes[0] == 0,
            "reference_empty": distances.sizes[1] == 0,
        }
        measures |= _read_heat_map(found, structure, measures["dice"], by_slice=by_slice)
        if not by_slice:
            measures["predicted_ml"] = volume_ml(predicted, found.spacing)
            measures["reference_ml"] = volume_ml(expected, found.spacing)
            margin = margin_mm(predicted[0], expected[0], found.spacing, shape[1:])
            measures["margin_mm"] = [margin]
        scored = np.flatnonzero(found.annotated.any((1, 2))) if by_slice else [0]
        for index in scored:
            where = {"slice": index} if by_slice else {}
            yield where | {"structure": structure} | {k: v[index] for k, v in measures.items()}


def _read_heat_map(
    found: Prediction, structure: str, true_dice: NDArray[np.float64], *, by_slice: bool
) -> dict[str, NDArray[np.float64]]:
    """Measures of a whole heat map, as it may hold a structure possible far from the heart, too."""
    heat = heat_map(found.probabilities, structure)
    predicted, expected = (mask_of(m, structure) for m in (found.segmentation, found.reference))
    if not by_slice:
        heat, predicted, expected = heat[None], predicted[None], expected[None]
    estimate = estimated_dice(heat, predicted)
    return {
        "estimated_dice": estimate,
        "estimated_dice_error": np.abs(estimate - true_dice),
        "sensitivity_possible": sensitivity_possible(heat, expected),
        "precision_certain": precision_certain(heat, expected),
    }
