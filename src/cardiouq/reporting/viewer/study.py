"""The viewer's scans of a study: its test cases, with what every method makes of them."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cardiouq.data.readers.scans import load_prediction
from cardiouq.reporting.slices import load_scan
from cardiouq.reporting.viewer.page import Criterion
from cardiouq.reporting.viewer.pictures import Numbers, Reading, ViewedScan
from cardiouq.structures import MEAN, STRUCTURES

KEY = ["method", "test_set", "case"]
OF_STRUCTURES = {"dice": "Dice", "estimated_dice": "estimated Dice", "assd_mm": "ASSD (mm)"}
"""Metrics of a structure, as they are printed."""
OF_VOXELS = {
    "predictive_entropy_bits": "entropy (bits)",
    "mutual_information_bits": "mutual information (bits)",
}
"""Metrics of all voxels."""
CRITERIA = [
    Criterion("Dice", "Dice", MEAN, low_is_worse=True),
    *(Criterion(f"Dice of {name}", "Dice", name, low_is_worse=True) for name in STRUCTURES),
    Criterion("estimated Dice", "estimated Dice", MEAN, low_is_worse=True),
    Criterion("entropy (bits)", "entropy (bits)", MEAN, low_is_worse=False),
]
"""What test cases may be sorted by."""


def viewed_cases(
    cases: pd.DataFrame,
    members: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    predictions: Path,
    methods: Iterable[str],
    test_sets: Mapping[str, str],
) -> Iterator[ViewedScan]:
    """Read the test cases of a study one by one; a case of several test sets comes once.

    Args:
        cases: the case table.
        members: rows of `test_sets.csv`.
        tables: name of each of `TABLES` -> its rows of all methods.
        predictions: folder `prediction` of the study.
        methods: keys.
        test_sets: key -> printed label, in order.

    Raises:
        CardiouqError: a file is missing or not as it was made.
    """
    rows = cases.set_index("case", drop=False)
    of_scans = _numbers(tables["scores"], tables["voxels"], KEY)
    of_slices = _numbers(tables["slice_scores"], tables["slice_voxels"], [*KEY, "slice"])
    found_in: dict[str, list[str]] = {}
    for test_set in test_sets:
        for case in members.loc[members["test_set"] == test_set, "case"]:
            found_in.setdefault(case, []).append(test_set)
    for case, (first, *others) in found_in.items():
        scan = load_scan(cases, case)
        about: Any = rows.loc[case]
        labels = ", ".join(test_sets[name] for name in (first, *others))
        vendor = about["vendor"] and f"vendor {about['vendor']}"
        parts = [
            about["subject"],
            about["visit"],
            about["phase"],
            labels,
            about["pathology"],
            vendor,
        ]
        readings = {}
        for method in methods:
            folder = predictions / method / first
            key = (method, first, case)
            readings[method] = Reading(
                load_prediction(folder / f"{case}_segmentation.nii.gz")[None],
                load_prediction(folder / f"{case}_entropy.nii.gz")[None],
                of_scans[key],
                # a slice that nobody annotated has none
                [of_slices.get((*key, z), {}) for z in range(len(scan.image))],
            )
        yield ViewedScan(
            case,
            [part for part in parts if part],
            scan.image[None],
            scan.spacing,
            scan.reference[None],
            readings,
        )


def _numbers(
    structures: pd.DataFrame, voxels: pd.DataFrame, key: list[str]
) -> Mapping[tuple[Any, ...], Numbers]:
    """Key of a scan or slice -> its numbers; the mean is over structures, or over voxels."""
    single = structures[structures["structure"].isin(STRUCTURES)]
    missing = single["predicted_empty"] | single["reference_empty"]
    # else what stands for an infinite distance would be the mean
    single = single.assign(assd_mm=single["assd_mm"].mask(missing))
    means = single.groupby(key, as_index=False)[list(OF_STRUCTURES)].mean()
    of_structures = pd.concat([single, means.assign(structure=MEAN)])
    of_voxels = voxels.assign(structure=MEAN)
    numbers: dict[tuple[Any, ...], dict[str, dict[str, float]]] = {}
    for table, metrics in ((of_structures, OF_STRUCTURES), (of_voxels, OF_VOXELS)):
        places = list(table[key].itertuples(index=False, name=None))
        for metric, label in metrics.items():
            for place, row, value in zip(places, table["structure"], table[metric], strict=True):
                numbers.setdefault(place, {}).setdefault(label, {})[row] = value
    return numbers
