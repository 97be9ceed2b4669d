"""Statistics of a study: each metric of each method on each test set, in every resample."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cardiouq.errors import CardiouqError
from cardiouq.evaluation import SCORE_TABLES
from cardiouq.evaluation.bootstrap import Weights, subject_weights, weighted_mean
from cardiouq.evaluation.calibration import CLASS_LABELS, TOP_LABEL, binned_errors
from cardiouq.evaluation.clinical import UNITS
from cardiouq.evaluation.ranking import Ranking, spearman
from cardiouq.structures import ALL, FOREGROUND, MEAN, STRUCTURES

Floats = NDArray[np.float64]

SEGMENTATION = ("dice", "assd_mm", "hausdorff_mm", "hd95_mm", "surface_dice")
SAMPLES = ("dice_within", "assd_within_mm", "pairwise_dice", "aula")
FOREST = ("forest_dice",)
HEAT_MAP = ("estimated_dice", "estimated_dice_error", "sensitivity_possible", "precision_certain")
STRUCTURE_METRICS = (*SEGMENTATION, *SAMPLES, *HEAT_MAP, *FOREST)
ENTROPIES = ("predictive_entropy_bits", "expected_entropy_bits", "mutual_information_bits")
AGGREGATIONS = (
    "entropy_without_boundary_bits",
    "entropy_foreground_bits",
    "entropy_patch_bits",
)
AT_BOUNDARY = "entropy_at_boundary_percent"
VOXEL_METRICS = ("nll_nats", "brier", *ENTROPIES, "variance", *AGGREGATIONS, AT_BOUNDARY)
VOXEL_UNCERTAINTIES = (
    "predictive_entropy_bits",
    "mutual_information_bits",
    "variance",
    *AGGREGATIONS,
)
"""Uncertainties of a whole volume or slice, the same for all of its structures."""
AGREEMENTS = ("dice_within", "pairwise_dice", "aula", "estimated_dice", "forest_dice")
"""Agreements of a structure's samples, or what its Dice is taken to be; they fall as uncertainty
grows."""
AVERAGED = ("dice", "aurc_estimated_dice", "aurc_gain_estimated_dice")
"""Metrics of volumes that there is the mean over structures of, too."""
MOST_AT_ONCE = 2**21
"""Resamples times cases that are ranked at once, as some 60 arrays of so many numbers are held."""
FEWEST_AT_ONCE = 8
"""Resamples that are ranked at once however many cases there are, as each block sorts them anew."""
VISIT = ["subject", "visit"]
"""Columns that say whose and when clinical quantities are; resampled are subjects."""
TABLES = tuple(table for table in SCORE_TABLES if table != "sample_volumes")
"""Tables of each method that the statistics are of."""


class Key(NamedTuple):
    """Identity of a number: a metric of a structure (or quantity) on a level of a test set.

    Levels are volumes, slices and subjects.
    """

    method: str
    test_set: str
    level: str
    structure: str
    metric: str


@dataclass(frozen=True)
class Statistic:
    """Values of a number in every resample.

    Attributes:
        values: (1 + resamples,), of the sample itself first.
        of_cases: (cases,) the values whose mean it is, or None if it is no mean.
        n_cases, n_subjects: how many volumes, slices or subjects it is of.
        n_empty: how many of these lack the structure in reference or prediction.
    """

    values: Floats
    of_cases: Floats | None
    n_cases: int
    n_subjects: int
    n_empty: int


@dataclass(frozen=True)
class Group:
    """Cases of one level of a test set, in one order for all methods."""

    index: "pd.Index[Any]"
    subjects: NDArray[Any]
    weights: Weights

    @cached_property
    def n_subjects(self) -> int:
        """Number of subjects that the cases are of."""
        return len(np.unique(self.subjects))

    def statistic(self, values: Floats, of_cases: Floats | None, empty: Floats) -> Statistic:
        """Make a statistic of these cases."""
        return Statistic(values, of_cases, len(self.index), self.n_subjects, int(empty.sum()))

    def mean(self, of_cases: Floats, empty: Floats) -> Statistic:
        """Make the mean of the cases' values."""
        return self.statistic(weighted_mean(of_cases, self.weights), of_cases, empty)


def compute_statistics(
    tables: Mapping[str, pd.DataFrame],
    methods: Sequence[str],
    test_sets: Sequence[str],
    settings: Mapping[str, Any],
    seed: int,
) -> tuple[dict[Key, Statistic], dict[tuple[str, str], Group]]:
    """Compute every number of the study.

    Args:
        tables: name (of `TABLES`) -> rows of all methods; there are no clinical quantities without
            `subjects`.
        methods, test_sets: in the order of the tables.
        settings: the study's `evaluation` block.
        seed: the study's, for the resamples.

    Returns:
        The statistics, and by (test set, level) the cases that they are of.

    Raises:
        CardiouqError: a score is missing or not a number, or methods were scored on different
            cases, so that their numbers could not be compared.
    """
    statistics: dict[Key, Statistic] = {}
    groups: dict[tuple[str, str], Group] = {}
    parts = {
        name: dict(list(table.groupby(["method", "test_set"]))) for name, table in tables.items()
    }
    # without ED and ES of the heart's structures there are no clinical quantities, of no method
    with_quantities = {test_set for _, test_set in parts.get("subjects", ())}
    for test_set in test_sets:
        for method in methods:
            found = {}
            for name in TABLES if test_set in with_quantities else TABLES[:-1]:
                if (method, test_set) not in parts[name]:
                    raise CardiouqError(
                        f"{name}.csv of {method}: no rows of {test_set}; evaluate the method again"
                    )
                found[name] = parts[name][method, test_set]
            for level, scores, voxels in (
                ("volume", "scores", "voxels"),
                ("slice", "slice_scores", "slice_voxels"),
            ):
                cases = _Cases(found[scores], found[voxels], level)
                if (test_set, level) not in groups:
                    groups[test_set, level] = cases.group(settings, seed)
                group = groups[test_set, level]
                cases.check(group, f"{scores}.csv of {method} on {test_set}")
                for structure, metric, statistic in [
                    *_means(cases, group),
                    *_rankings(cases, group, settings),
                    *(_calibration(cases, group, found, settings) if level == "volume" else ()),
                ]:
                    statistics[Key(method, test_set, level, structure, metric)] = statistic
            for metric in AVERAGED:
                key = Key(method, test_set, "volume", MEAN, metric)
                statistics[key] = _over_structures(statistics, key)
            if test_set not in with_quantities:
                continue
            subjects = found["subjects"]
            if (test_set, "subject") not in groups:
                groups[test_set, "subject"] = _subject_group(subjects, settings, seed)
            group = groups[test_set, "subject"]
            for quantity, metric, statistic in _clinical(subjects, group):
                statistics[Key(method, test_set, "subject", quantity, metric)] = statistic
    return statistics, groups


Statistics = Iterator[tuple[str, str, Statistic]]
"""Structure or quantity, metric, and the statistic of the two."""


class _Cases:
    """Scores of one method on one level of one test set, by case."""

    def __init__(self, scores: pd.DataFrame, voxels: pd.DataFrame, level: str) -> None:
        keys = ["case"] if level == "volume" else ["case", "slice"]
        self.level = level
        self.voxels = voxels.set_index(keys).sort_index()
        self.by_structure = {
            str(structure): rows.set_index(keys).sort_index()
            for structure, rows in scores.groupby("structure")
        }

    def group(self, settings: Mapping[str, Any], seed: int) -> Group:
        subjects = self.voxels["subject"].to_numpy(str)
        resamples = settings["bootstrap"]["resamples"]
        return Group(self.voxels.index, subjects, subject_weights(subjects, resamples, seed))

    def check(self, group: Group, where: str) -> None:
        """Raise a CardiouqError unless every structure has a number for each case of the group."""
        for structure in (*STRUCTURES, FOREGROUND):
            rows = self.by_structure.get(structure)
            n_rows = 0 if rows is None else len(rows)
            if rows is None or not rows.index.equals(group.index):
                raise CardiouqError(
                    f"{where}, {structure}: {n_rows} {self.level}s, other ones than the "
                    f"{len(group.index)} of the first method; evaluate all methods on the same "
                    "cases"
                )
            self._check_numbers(rows[list(STRUCTURE_METRICS)], f"{where}, {structure}")
        self._check_numbers(self.voxels[list(VOXEL_METRICS)], where)

    @staticmethod
    def _check_numbers(table: pd.DataFrame, where: str) -> None:
        missing = table.isna()
        if missing.any(axis=None):
            metric = missing.any().idxmax()
            cases = table.index[missing[metric]].tolist()
            raise CardiouqError(
                f"{where}: no number for {metric} of {cases[:5]}; expected one of every case, as "
                "failures would vanish from the mean"
            )

    def empty(self, structure: str) -> Floats:
        """1 where reference or prediction lacks the structure."""
        rows = self.by_structure[FOREGROUND if structure == ALL else structure]
        return (rows["reference_empty"] | rows["predicted_empty"]).to_numpy(np.float64)


def _means(cases: _Cases, group: Group) -> Statistics:
    for structure, rows in cases.by_structure.items():
        for metric in STRUCTURE_METRICS:
            values = rows[metric].to_numpy(np.float64)
            yield structure, metric, group.mean(values, cases.empty(structure))
        alone = rows["reference_empty"] != rows["predicted_empty"]
        percent = 100 * np.asarray(alone, np.float64)
        yield structure, "one_empty_percent", group.mean(percent, cases.empty(structure))
    for metric in VOXEL_METRICS:
        values = cases.voxels[metric].to_numpy(np.float64)
        yield ALL, metric, group.mean(values, cases.empty(ALL))


def _over_structures(statistics: Mapping[Key, Statistic], mean: Key) -> Statistic:
    """The mean over structures in every resample; its empty masks are those of all structures.

    It has no values of cases, as a test on them would be one of the structures' once more.
    """
    of_structures = [statistics[mean._replace(structure=structure)] for structure in STRUCTURES]
    return replace(
        of_structures[0],
        values=np.mean([statistic.values for statistic in of_structures], axis=0),
        of_cases=None,
        n_empty=sum(statistic.n_empty for statistic in of_structures),
    )


def is_poor(scores: pd.DataFrame, structure: str, poor_if: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Tell which rows of a structure miss its limit, (rows,).

    Args:
        scores: rows of one structure.
        structure: of which `poor_if` has a limit.
        poor_if: the study's `evaluation.poor`, of one level.
    """
    score, limit = scores[poor_if["metric"]].to_numpy(np.float64), poor_if[structure]
    return np.asarray(score < limit if poor_if["metric"] == "dice" else score > limit)


def _rankings(cases: _Cases, group: Group, settings: Mapping[str, Any]) -> Statistics:
    poor_if = settings["poor"][cases.level]
    resamples, n_cases = group.weights.shape
    size = max(FEWEST_AT_ONCE, MOST_AT_ONCE // n_cases)
    blocks = [
        _ranked(cases, group.weights[start : start + size], settings)
        for start in range(0, resamples, size)
    ]
    for structure, rows in cases.by_structure.items():
        empty = cases.empty(structure)
        by_chance = weighted_mean(1 - rows["dice"].to_numpy(), group.weights)
        of_structure = [block[structure] for block in blocks]
        for metric in of_structure[0]:
            values = np.concatenate([block[metric] for block in of_structure])
            yield structure, metric, group.statistic(values, None, empty)
            if metric.startswith("aurc_"):
                gain = metric.replace("aurc_", "aurc_gain_", 1)
                yield structure, gain, group.statistic(by_chance - values, None, empty)
        if structure in poor_if:
            failed = 100 * is_poor(rows, structure, poor_if).astype(np.float64)
            yield structure, "failed_percent", group.mean(failed, empty)


def _ranked(
    cases: _Cases, weights: Weights, settings: Mapping[str, Any]
) -> dict[str, dict[str, Floats]]:
    """Measures of all rankings in some resamples, by structure and metric."""
    poor_if = settings["poor"][cases.level]
    remaining = settings["poor"]["remaining"]
    of_all = {
        name: Ranking(cases.voxels[name].to_numpy(np.float64), weights)
        for name in VOXEL_UNCERTAINTIES
    }
    found: dict[str, dict[str, Floats]] = {}
    for structure, rows in cases.by_structure.items():
        uncertainties = of_all | {
            name: Ranking(-rows[name].to_numpy(np.float64), weights) for name in AGREEMENTS
        }
        uncertainties["assd_within_mm"] = Ranking(rows["assd_within_mm"].to_numpy(), weights)
        risk = 1 - rows["dice"].to_numpy()
        by_risk, by_distance = (Ranking(e, weights) for e in (risk, rows["assd_mm"].to_numpy()))
        found[structure] = {}
        for name, uncertainty in uncertainties.items():
            curve = uncertainty.curve(risk)
            found[structure] |= {
                f"spearman_{name}_dice": spearman(uncertainty, by_risk),
                f"spearman_{name}_assd_mm": spearman(uncertainty, by_distance),
                f"aurc_{name}": curve.aurc(),
                f"augrc_{name}": curve.augrc(),
            }
            if structure in poor_if:
                poor = is_poor(rows, structure, poor_if)
                quality_control = uncertainty.curve(poor.astype(np.float64))
                found[structure] |= {
                    f"auroc_failure_{name}": uncertainty.auroc_failure(poor),
                    f"quality_control_auc_{name}": quality_control.augrc(),
                    f"flagged_percent_{name}": 100 * quality_control.flagged_share(remaining),
                }
    return found


def _calibration(
    cases: _Cases, group: Group, found: Mapping[str, pd.DataFrame], settings: Mapping[str, Any]
) -> Statistics:
    """Calibration errors in percent, of all voxels of a resample or as mean over its volumes."""
    errors: dict[str, dict[str, tuple[Floats, Floats | None]]] = {}
    for label, sums in _binned(found, "calibration", group):
        errors[label] = {
            name: (weighted_mean(of_cases, group.weights), of_cases)
            for name, of_cases in binned_errors(*sums).items()
        }
        if settings["ece"]["pool"] == "voxels":
            pooled = binned_errors(*(group.weights @ values for values in sums))
            errors[label] = {name: (values, None) for name, values in pooled.items()}
    empty = cases.empty(ALL)
    for name, (values, of_cases) in errors[TOP_LABEL].items():
        percent = None if of_cases is None else 100 * of_cases
        yield ALL, f"{name}_percent", group.statistic(100 * values, percent, empty)
    of_classes = [errors[label]["ece"] for label in CLASS_LABELS if label in errors]
    values = 100 * np.mean([values for values, _ in of_classes], axis=0)
    yield ALL, "classwise_ece_percent", group.statistic(values, None, empty)
    # needs the voxels of a volume in order, so it is always the mean over volumes
    yield (
        ALL,
        "adaptive_ce_percent",
        group.mean(100 * cases.voxels["adaptive_ce"].to_numpy(np.float64), empty),
    )
    of_structures = [binned_errors(*s) for _, s in _binned(found, "image_calibration", group)]
    for name in of_structures[0]:
        percent = 100 * np.mean([of_one[name] for of_one in of_structures], axis=0)
        yield ALL, f"image_{name}_percent", group.mean(percent, empty)


def _binned(
    found: Mapping[str, pd.DataFrame], table: str, group: Group
) -> Iterator[tuple[str, list[Floats]]]:
    """Each label of a table of bins, with its sums by case and bin as `binned_errors` takes them.

    Raises:
        CardiouqError: the bins are of other cases than the group.
    """
    bins = found[table]
    if set(bins["case"]) != set(group.index):
        raise CardiouqError(
            f"{table}.csv: bins of {bins['case'].nunique()} volumes, scores of "
            f"{len(group.index)}; expected the same volumes, evaluate the method again"
        )
    for label, of_label in bins.groupby("label"):
        yield (
            str(label),
            [
                of_label.pivot(index="case", columns="bin", values=column)
                .reindex(index=group.index, fill_value=0)
                .fillna(0)
                .to_numpy(np.float64)
                for column in ("voxels", "confidence", "correct")
            ],
        )


def _subject_group(subjects: pd.DataFrame, settings: Mapping[str, Any], seed: int) -> Group:
    visits = subjects[VISIT].drop_duplicates().sort_values(VISIT)
    names = visits["subject"].to_numpy(str)
    index = pd.MultiIndex.from_frame(visits)
    return Group(index, names, subject_weights(names, settings["bootstrap"]["resamples"], seed))


def _clinical(subjects: pd.DataFrame, group: Group) -> Statistics:
    """Error against the reference, its absolute value, and what the samples' interval is worth."""
    for quantity in UNITS:
        rows = subjects[subjects["quantity"] == quantity].sort_values(VISIT)
        if rows.empty:
            continue
        error = rows["predicted"] - rows["reference"]
        covered = rows["reference"].between(rows["low"], rows["high"])
        width = rows["high"] - rows["low"]
        empty = rows["empty"].to_numpy(np.float64)
        for metric, of_subjects in (
            ("bias", error),
            ("absolute_error", error.abs()),
            ("coverage_percent", 100 * covered),
            ("interval_width", width),
            ("crps", rows["crps"]),
        ):
            yield quantity, metric, group.mean(np.asarray(of_subjects, np.float64), empty)
