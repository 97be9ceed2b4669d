"""The case table: every labelled volume of every data set, checked before anything long starts."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.data.adapters import ADAPTERS, known_labels
from cardiouq.data.labels import match_labels, parse_labels
from cardiouq.data.layouts import DataFolder, FoundCase
from cardiouq.data.scans import dimensions_of, load_volume, open_scan
from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.structures import STRUCTURES

NUMBERS = dict.fromkeys(("frame", "slices", "rows", "columns"), int) | dict.fromkeys(
    ("spacing_z", "spacing_y", "spacing_x"), float
)
"""Columns of the case table that are no text."""
CASE_NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"
MOST_NAMED = 5
AFFINE_TOLERANCE = 1e-3
"""mm; larger differences between an image's and its label's affine are an error."""


def make_case_table(datasets: Mapping[str, DataFolder]) -> pd.DataFrame:
    """List and check the cases of every data set.

    Returns:
        One row per case; spacings in mm, `image_hash` identifies the image's content, `labels` says
        which values of the label are which structure (`cardiouq.data.labels`).

    Raises:
        ProblemsError: naming every file that is missing, broken or inconsistent, all at once.
    """
    problems: list[str] = []
    rows: list[dict[str, Any]] = []
    for dataset, data in datasets.items():
        if not data.root.is_dir():
            problems.append(f"{data.root}: data set {dataset} is not there; expected a folder")
            continue
        try:
            known = known_labels(data)
            labels = match_labels(known, data.labels, STRUCTURES, f"data set {dataset}")
        except CardiouqError as error:
            problems.append(str(error))
            continue
        found, layout_problems = ADAPTERS[data.layout](data)
        problems += layout_problems
        for case in found:
            try:
                rows.append({"dataset": dataset} | check_case(case, labels))
            except CardiouqError as error:
                problems.append(str(error))
    if problems:
        raise ProblemsError(
            f"{len(problems)} problem(s) in the scans. Mend these files, or take their subjects "
            "out of the folder, and run again:",
            problems,
        )
    table = pd.DataFrame(rows)
    repeated = table.loc[table.duplicated("case"), "case"].tolist()
    if repeated:
        raise CardiouqError(f"cases {repeated} are in more than one data set; list each once")
    return table


def check_case(found: FoundCase, labels: str) -> dict[str, Any]:
    """One row of the case table, or a CardiouqError that says what is wrong with the files."""
    if not re.fullmatch(CASE_NAME, found.case):
        raise CardiouqError(
            f"case {found.case!r}: expected a name of letters, digits, `_`, `-` and `.`, as files "
            "are called by it"
        )
    image, label = (load_volume(path, found.frame) for path in (found.image, found.label))
    headers = [open_scan(path, dimensions_of(found.frame)) for path in (found.image, found.label)]
    image_affine, label_affine = (header.affine for header in headers)
    if image.shape != label.shape:
        raise CardiouqError(
            f"{found.label}: shape {label.T.shape} differs from its image's {image.T.shape} "
            f"({found.image.name}); expected the same grid"
        )
    if not np.allclose(image_affine, label_affine, atol=AFFINE_TOLERANCE):
        raise CardiouqError(
            f"{found.label}: affine {label_affine.round(3).tolist()} differs from its image's "
            f"{image_affine.round(3).tolist()}; expected the same geometry"
        )
    if not np.isfinite(image).all():
        raise CardiouqError(f"{found.image}: holds NaN or infinite intensities; expected numbers")
    if image.min() == image.max():
        raise CardiouqError(f"{found.image}: every voxel is {image.min()}; expected a scan")
    values = np.unique(label)
    allowed = [value for of_name in parse_labels(labels).values() for value in of_name]
    if not np.isin(values, allowed).all():
        unknown = [value.item() for value in values if value not in allowed]
        raise CardiouqError(
            f"{found.label}: label values {unknown[:MOST_NAMED]}; expected only {labels}"
        )
    zooms = [float(zoom) for zoom in headers[0].header.get_zooms()[:3]]
    if min(zooms) <= 0:
        raise CardiouqError(f"{found.image}: voxel size {zooms} mm; expected positive numbers")
    return {
        **found.columns,
        "case": found.case,
        "subject": found.subject,
        "phase": found.phase,
        "pathology": found.pathology,
        "vendor": found.vendor,
        "centre": found.centre,
        "part": found.part,
        "image": str(found.image),
        "label": str(found.label),
        "labels": labels,
        "frame": found.frame,
        "slices": image.shape[0],
        "rows": image.shape[1],
        "columns": image.shape[2],
        "spacing_z": zooms[2],
        "spacing_y": zooms[1],
        "spacing_x": zooms[0],
        "image_hash": _hash(image),
        "label_hash": _hash(label),
    }


def _hash(volume: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(volume).tobytes()).hexdigest()[:16]


def read_case_table(*paths: str | Path) -> pd.DataFrame:
    """Read case tables as one; all but numbers is text, where empty means empty."""
    types: Any = defaultdict(lambda: str, NUMBERS)
    tables = [pd.read_csv(path, dtype=types, keep_default_na=False) for path in paths]
    return pd.concat(tables, ignore_index=True).fillna("")
