"""The case table: every labelled volume of every data set, checked before anything long starts."""

import hashlib
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.filebasedimages import ImageFileError

from cardiouq.data.layouts import ADAPTERS, FoundCase
from cardiouq.data.scans import LABEL_ORDER, load_volume
from cardiouq.errors import CardiouqError, ProblemsError

UNREADABLE = (OSError, EOFError, ValueError, zlib.error, ImageFileError)
TEXT_COLUMNS = (
    *("case", "dataset", "subject", "phase", "pathology", "vendor", "centre"),
    *("layout", "image", "label", "image_hash", "label_hash"),
)
AFFINE_TOLERANCE = 1e-3
"""mm; larger differences between an image's and its label's affine are an error."""


def make_case_table(roots: dict[str, tuple[str, Path]]) -> pd.DataFrame:
    """List and check the cases of every data set.

    Args:
        roots: data set -> (layout, folder on disk).

    Returns:
        One row per case; spacings in mm, `image_hash` identifies the image's content.

    Raises:
        ProblemsError: naming every file that is missing, broken or inconsistent, all at once.
    """
    problems: list[str] = []
    rows: list[dict[str, Any]] = []
    for dataset, (layout, root) in roots.items():
        if not root.is_dir():
            problems.append(f"{root}: data set {dataset} is not there; expected a folder")
            continue
        found, layout_problems = ADAPTERS[layout](root)
        problems += layout_problems
        for case in found:
            try:
                rows.append({"dataset": dataset, "layout": layout} | check_case(case, layout))
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


def check_case(found: FoundCase, layout: str) -> dict[str, Any]:
    """One row of the case table, or a CardiouqError that says what is wrong with the files."""
    image, image_affine = _read(found.image, found.frame)
    label, label_affine = _read(found.label, found.frame)
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
    allowed = np.arange(len(LABEL_ORDER[layout]) + 1)
    if not np.isin(values, allowed).all():
        unknown = [value.item() for value in values if value not in allowed]
        raise CardiouqError(
            f"{found.label}: label values {unknown}; expected only {allowed.tolist()} "
            f"(0 background, then {', '.join(LABEL_ORDER[layout])})"
        )
    zooms = [float(zoom) for zoom in nib.load(found.image).header.get_zooms()[:3]]
    if min(zooms) <= 0:
        raise CardiouqError(f"{found.image}: voxel size {zooms} mm; expected positive numbers")
    return {
        "case": found.case,
        "subject": found.subject,
        "phase": found.phase,
        "pathology": found.pathology,
        "vendor": found.vendor,
        "centre": found.centre,
        "image": str(found.image),
        "label": str(found.label),
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


def _read(path: Path, frame: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    if not path.is_file():
        raise CardiouqError(f"{path}: missing")
    try:
        image = nib.load(path)
        dimensions = 3 if frame < 0 else 4
        if len(image.shape) != dimensions:
            raise CardiouqError(f"{path}: shape {image.shape}; expected {dimensions} dimensions")
        if frame >= 0 and frame >= image.shape[3]:
            raise CardiouqError(
                f"{path}: frame {frame} is asked for, but it has {image.shape[3]} (first is 0)"
            )
        return load_volume(path, frame), image.affine
    except UNREADABLE as error:
        raise CardiouqError(
            f"{path}: cannot be read as NIfTI ({error}); fetch the file again"
        ) from error


def _hash(volume: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(volume).tobytes()).hexdigest()[:16]


def read_case_table(*paths: str | Path) -> pd.DataFrame:
    """Read case tables as one, with text columns as text, where empty means empty."""
    text = dict.fromkeys(TEXT_COLUMNS, str)
    tables = [pd.read_csv(path, dtype=text, keep_default_na=False) for path in paths]
    return pd.concat(tables, ignore_index=True)
