"""Flags: what is odd in the scans, so that someone looks before a network learns from it.

What makes a scan unusable is an error of the case table already; a flag stops nothing.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import median_abs_deviation

from cardiouq.data.readers.found import PHASES, TRAINING
from cardiouq.data.readers.scans import Case, read_image, read_label
from cardiouq.files.tables import read_rows
from cardiouq.structures import FOREGROUND, HEART, IGNORED, STRUCTURES, mask_of

OUTLIER = 3.5
"""Robust z-score beyond which a value is an outlier, as Iglewicz and Hoaglin (1993) advise."""
PLAUSIBLE_ML = (3, 1000)
"""Volumes of a heart's structure: dilated ventricles hold up to 700 ml, small ones at ES 5."""
FEWEST_CASES = 10
"""Number of cases below which none is called an outlier."""
FEWEST_SLICES = 3
"""Number of slices with a label below which a case is flagged."""
MOST_AT_MAXIMUM = 0.01
"""Share of voxels at the image's largest value above which it counts as clipped."""
SPACING_FACTOR = 2.0
"""Factor between a spacing and its median over the data set above which it is flagged."""
MOST_NAMED = 5
NOT_SPLIT = "not split"
"""Side of a subject of another part or data set than the one that is split."""

COLUMNS = ["dataset", "subject", "case", "flag", "found", "expected"]
ABOUT = ["dataset", "subject", "case", "visit", "phase", "part"]
ABOUT += ["image_identity", "label_identity"]
SPACINGS = ["spacing_z", "spacing_y", "spacing_x"]

Flagged = Iterator[tuple[dict[Any, Any], str, str]]
"""Rows of `measure_cases`, with what was found in each and what was expected."""


def check_cases(cases: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """Read every scan of the case table and list what is odd.

    Args:
        split: sides of the subjects that were split.

    Returns:
        One row per flag, of text: `COLUMNS`, sorted by case.
    """
    measured = measure_cases(cases)
    sides = split.set_index(["dataset", "subject"])["split"].to_dict()
    measured["side"] = [
        sides.get((row.dataset, row.subject), NOT_SPLIT) if row.part == TRAINING else NOT_SPLIT
        for row in measured.itertuples()
    ]
    rows = [
        (row["dataset"], row["subject"], row["case"], name, found, expected)
        for name, flag in FLAGS.items()
        for row, found, expected in flag.find(measured)
    ]
    checks = pd.DataFrame(rows, columns=COLUMNS)
    return checks.sort_values(COLUMNS[:3], kind="stable", ignore_index=True)


def measure_cases(cases: pd.DataFrame) -> pd.DataFrame:
    """Measure what the flags judge each case by: `ABOUT`, spacings, and what its scan shows."""
    rows: Any = cases.itertuples(index=False)
    measured = pd.DataFrame([_measure(case) for case in rows])
    return pd.concat([cases[ABOUT + SPACINGS].reset_index(drop=True), measured], axis=1)


def _measure(case: Case) -> dict[str, Any]:
    image, label = read_image(case), read_label(case)
    labelled = np.flatnonzero(mask_of(label, FOREGROUND).any((1, 2))).tolist()
    unknown = set(np.flatnonzero((label == IGNORED).any((1, 2))).tolist())
    # of what is annotated in part, no volume is known
    ml = np.nan if unknown else case.spacing_z * case.spacing_y * case.spacing_x / 1000
    return {
        "labelled": len(labelled),
        "gaps": sorted(set(range(labelled[0], labelled[-1])) - set(labelled) - unknown)
        if labelled
        else [],
        "flat": np.flatnonzero(image.min((1, 2)) == image.max((1, 2))).tolist(),
        "at_maximum": float((image == image.max()).mean()),
        "minimum": float(image.min()),
        "mean/SD": float(image.mean(dtype=float) / image.std(dtype=float)),
        **{_ml(name): ml * np.count_nonzero(mask_of(label, name)) for name in STRUCTURES},
    }


def _ml(structure: str) -> str:
    """Column of a structure's volume."""
    return f"{structure} ml"


def _rows(cases: pd.DataFrame) -> list[dict[Any, Any]]:
    return cases.to_dict("records")


def _copies(cases: pd.DataFrame, content: str) -> Flagged:
    """Cases with the content, a column of hashes, of another subject's."""
    for _, same in cases.groupby(content):
        rows = _rows(same)
        for row in rows:
            all_others = (
                f"{other['case']} of {other['subject']} ({other['side']})"
                for other in rows
                if (other["dataset"], other["subject"]) != (row["dataset"], row["subject"])
            )
            others = list(islice(all_others, MOST_NAMED + 1))
            if others:
                more = ["..."] if len(others) > MOST_NAMED else []
                yield (
                    row,
                    f"same as {', '.join(others[:MOST_NAMED] + more)}",
                    f"no copy, or one on the same side ({row['side']})",
                )


def _duplicate_image(cases: pd.DataFrame) -> Flagged:
    yield from _copies(cases, "image_identity")


def _duplicate_label(cases: pd.DataFrame) -> Flagged:
    yield from _copies(cases[cases["labelled"] > 0], "label_identity")  # empty ones are all alike


def _outliers(cases: pd.DataFrame, column: str, name: str, unit: str = "") -> Flagged:
    """Cases whose logarithm is more than `OUTLIER` robust SDs from the median, as 1.4826 MAD."""
    positive = cases[cases[column] > 0]
    if len(positive) < FEWEST_CASES:
        return
    logs = np.log(positive[column].to_numpy())
    reach = OUTLIER * median_abs_deviation(logs, scale="normal")
    low, high = np.exp(np.median(logs) + np.array([-reach, reach]))
    for row in _rows(positive[np.abs(logs - np.median(logs)) > reach]) if reach else []:
        yield row, f"{name} {row[column]:.3g}{unit}", f"{low:.3g} to {high:.3g}{unit}"


def _volume_outlier(cases: pd.DataFrame) -> Flagged:
    for _, alike in cases.groupby(["dataset", "phase"]):
        for structure in STRUCTURES:
            yield from _outliers(alike, _ml(structure), structure, " ml")


def _implausible_volume(cases: pd.DataFrame) -> Flagged:
    for structure in STRUCTURES:
        low, high = PLAUSIBLE_ML if structure in HEART else (0, PLAUSIBLE_ML[1])
        ml = cases[_ml(structure)]
        for row in _rows(cases[((ml > 0) & (ml < low)) | (ml > high)]):
            found = f"{structure} {row[_ml(structure)]:.3g} ml"
            yield row, found, f"{low} to {high} ml; is the voxel size right?"


def _structure_missing(cases: pd.DataFrame) -> Flagged:
    for structure in STRUCTURES:
        for row in _rows(cases[cases[_ml(structure)] == 0]):
            yield row, f"no {structure} in any slice", f"a label with {structure}"


def _missing_slices(cases: pd.DataFrame) -> Flagged:
    for row in _rows(cases[cases["gaps"].str.len() > 0]):
        numbers = ", ".join(map(str, row["gaps"]))
        yield row, f"no label in slice {numbers} (from 0)", "labelled slices without a gap"


def _few_slices(cases: pd.DataFrame) -> Flagged:
    for row in _rows(cases[cases["labelled"] < FEWEST_SLICES]):
        yield row, f"{row['labelled']} slice(s) with a label", f"{FEWEST_SLICES} or more"


def _intensities(cases: pd.DataFrame) -> Flagged:
    for row in _rows(cases[cases["at_maximum"] > MOST_AT_MAXIMUM]):
        found = f"{row['at_maximum']:.1%} of the voxels at the maximum"
        yield row, found, f"at most {MOST_AT_MAXIMUM:.0%}; clipped?"
    for row in _rows(cases[cases["minimum"] < 0]):
        yield row, f"least intensity {row['minimum']:.4g}", "no negative ones in magnitude images"
    for row in _rows(cases[cases["flat"].str.len() > 0]):
        numbers = ", ".join(map(str, row["flat"]))
        yield row, f"one value all over slice {numbers} (from 0)", "an image in every slice"
    for _, alike in cases.groupby("dataset"):
        yield from _outliers(alike, "mean/SD", "mean/SD")


def _spacing_outlier(cases: pd.DataFrame) -> Flagged:
    medians = cases.groupby("dataset")[SPACINGS].transform("median")
    ratios = cases[SPACINGS] / medians
    is_far = (ratios > SPACING_FACTOR) | (ratios < 1 / SPACING_FACTOR)
    for index in cases.index[is_far.any(axis=1)]:
        found, usual = (
            " x ".join(f"{mm:.3g}" for mm in table.loc[index, SPACINGS])
            for table in (cases, medians)
        )
        expected = f"within a factor of {SPACING_FACTOR:g} of {usual} mm"
        yield _rows(cases.loc[[index]])[0], f"{found} mm (z, y, x)", expected


def _ed_smaller(cases: pd.DataFrame) -> Flagged:
    if "LV" not in STRUCTURES:
        return
    keys = ["dataset", "part", "subject", "visit"]
    filled = cases[cases[_ml("LV")] > 0]
    ed, es = (filled[filled["phase"] == phase] for phase in PHASES)
    pairs = ed.merge(es[[*keys, _ml("LV")]], on=keys, suffixes=("", " at ES"))
    for row in _rows(pairs[pairs[_ml("LV")] < pairs[f"{_ml('LV')} at ES"]]):
        at_ed, at_es = row[_ml("LV")], row[f"{_ml('LV')} at ES"]
        found = f"LV {at_ed:.3g} ml at ED, {at_es:.3g} ml at ES"
        yield row, found, "the larger one at ED; swapped?"


class Flag(NamedTuple):
    """A way to find what is odd, and its condition in words."""

    find: Callable[[pd.DataFrame], Flagged]
    when: str


FLAGS = {
    "duplicate image": Flag(
        _duplicate_image, "another subject has the same image, in whatever way it is stored"
    ),
    "duplicate label": Flag(
        _duplicate_label, "another subject has the same label, in whatever way it is stored"
    ),
    "volume outlier": Flag(
        _volume_outlier,
        f"the logarithm of a structure's volume lies more than {OUTLIER} robust SDs (1.4826 MAD) "
        f"from the median of the data set's cases of that phase; of {FEWEST_CASES} or more",
    ),
    "implausible volume": Flag(
        _implausible_volume,
        f"a ventricle or the myocardium is smaller than {PLAUSIBLE_ML[0]} ml, or any structure "
        f"larger than {PLAUSIBLE_ML[1]} ml",
    ),
    "structure missing": Flag(
        _structure_missing, "a structure is in no slice of a label without `ignore`"
    ),
    "missing slices": Flag(
        _missing_slices, "a slice without a label or `ignore` between slices with a label"
    ),
    "few slices": Flag(_few_slices, f"fewer than {FEWEST_SLICES} slices have a label"),
    "intensities": Flag(
        _intensities,
        f"more than {MOST_AT_MAXIMUM:.0%} of the voxels at the image's maximum, a negative one, a "
        "slice of a single value, or mean/SD as far from the data set's as an outlying volume",
    ),
    "spacing outlier": Flag(
        _spacing_outlier,
        f"a spacing differs from the data set's median by more than a factor of {SPACING_FACTOR:g}",
    ),
    "ED smaller than ES": Flag(_ed_smaller, "the LV of a subject is smaller at ED than at ES"),
}
"""Every flag; a rule's log, the data page and `checks.csv` call them by these names."""


def count_flags(checks: pd.DataFrame) -> pd.DataFrame:
    """Count cases and subjects of every flag, in columns `cases` and `subjects`, in order."""
    counts = {
        name: {
            "cases": of_flag["case"].nunique(),
            "subjects": len(of_flag[["dataset", "subject"]].drop_duplicates()),
        }
        for name in FLAGS
        for of_flag in [checks[checks["flag"] == name]]
    }
    return pd.DataFrame.from_dict(counts, orient="index")


def read_checks(path: str | Path) -> pd.DataFrame:
    """Read `checks.csv`, whose columns are all text."""
    return read_rows(path, numbers={})
