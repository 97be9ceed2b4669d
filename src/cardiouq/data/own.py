"""Adapters for data of your own: nnU-Net's raw format, and a table of files.

Both may say of each case what `cases.csv` in the root has columns for: `subject`, `phase`,
`pathology`, `vendor`, `centre`, `part`, and any others, by which test sets can be narrowed.
"""

import json
import logging
import os
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cardiouq.data.labels import LARGEST_VALUE, Values
from cardiouq.data.layouts import (
    TRAINING,
    DataFolder,
    Found,
    FoundCase,
    Row,
    by_column,
    is_index,
    read_table,
    read_text,
)
from cardiouq.errors import CardiouqError
from cardiouq.structures import IGNORE

log = logging.getLogger(__name__)

TABLE = "cases.csv"
DESCRIPTION = "dataset.json"
NNUNET_PARTS = {TRAINING: "Tr", "testing": "Ts"}
SAID = ("subject", "phase", "pathology", "vendor", "centre")
"""Columns that every layout has."""
RESERVED = {
    *("dataset", "part", "case", "name", "frame"),
    *("image", "label", "labels", "image_hash", "label_hash"),
    *("slices", "rows", "columns", "spacing_z", "spacing_y", "spacing_x", "ignored_voxels"),
}
"""Names that a column of the user's own cannot have in the case table."""


def find_csv(data: DataFolder) -> Found:
    """Cases of a table of files: `cases.csv` with the columns image, label and subject.

    Paths are relative to the table's folder, or absolute. `phase` and the rest are as above;
    `frame` is the index in a 4-D file, `case` a name (unless given, subject and phase).
    """
    file = data.root / TABLE
    try:
        rows = _read_rows(file, ["image", "label", "subject"])
    except CardiouqError as error:
        return [], [str(error)]
    cases: list[FoundCase] = []
    problems: list[str] = []
    lines: dict[str, int] = {}
    for line, row in rows.items():
        frame = row.get("frame", "")
        if frame and not is_index(frame):
            problems.append(
                f"{file}, line {line}: frame {frame[:20]!r}; expected an index, or nothing"
            )
        elif row.get("part", "") in ("", *data.parts):
            name = row.get("case") or "_".join(filter(None, (row["subject"], row.get("phase"))))
            if lines.setdefault(name, line) != line:
                problems.append(
                    f"{file}, line {line}: case {name!r} stands on line {lines[name]} too; list it "
                    "once, or tell them apart in a column case"
                )
                continue
            image, label = (data.root / row[column] for column in ("image", "label"))
            part = row.get("part") or TRAINING
            cases.append(_case(name, row, image, label, int(frame or -1), part))
    return cases, problems


def find_nnunet(data: DataFolder) -> Found:
    """Cases of nnU-Net's raw format: `dataset.json`, `imagesTr/<case>_0000.nii.gz` (the first
    channel is read) and `labelsTr/<case>.nii.gz`; `imagesTs` and `labelsTs` are the part testing.

    The format does not say which cases are of one subject, and a subject on both sides of a split
    makes every number worthless: `cases.csv` says it in the columns case and subject (and `name`,
    if results are to call the case differently), or the data set's pattern `subject` reads it off
    the case's name.
    """
    try:
        ending = str(read_description(data.root).get("file_ending", ".nii.gz"))
        table = data.root / TABLE
        rows: dict[str, Row] = {}
        if os.path.lexists(table):  # a folder or a broken link of that name is an error
            rows = by_column("case", table, _read_rows(table, ["case", "subject"]))
    except CardiouqError as error:
        return [], [str(error)]
    if ending not in (".nii.gz", ".nii"):
        return [], [f"{data.root / DESCRIPTION}: files end in {ending}; expected NIfTI, .nii.gz"]
    cases: list[FoundCase] = []
    problems: list[str] = []
    for part in data.parts:
        labels = data.root / f"labels{NNUNET_PARTS[part]}"
        files = sorted(labels.glob(f"*{ending}"))
        if not files:
            problems.append(f"{labels}: no labels *{ending} found")
        images = data.root / f"images{NNUNET_PARTS[part]}"
        without = {file.name for file in images.glob(f"*_0000{ending}")} - {
            f"{file.name.removesuffix(ending)}_0000{ending}" for file in files
        }
        if without:
            log.info("%s: %d image(s) without a label are left out", images, len(without))
        for file in files:
            name = file.name.removesuffix(ending)
            image = images / f"{name}_0000{ending}"
            try:
                row = rows.get(name) or {"subject": _subject(name, data)}
            except CardiouqError as error:
                return [], [str(error)]
            cases.append(_case(row.get("name") or name, row, image, file, -1, part))
    return cases, problems


def read_description(root: Path) -> dict[str, Any]:
    """nnU-Net's `dataset.json`.

    Raises:
        CardiouqError: if it is missing or broken.
    """
    file = root / DESCRIPTION
    try:
        found: Any = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise CardiouqError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(found, dict) or not isinstance(found.get("labels"), dict):
        raise CardiouqError(f"{file}: no object `labels`; expected nnU-Net's description")
    return found


def nnunet_labels(root: Path) -> Values:
    """Name -> values of `dataset.json`, whose first version has values as keys."""
    labels: dict[str, Any] = read_description(root)["labels"]
    named = {name: value for name, value in labels.items() if not is_index(name)}
    named |= {str(value): int(name) for name, value in labels.items() if is_index(name)}
    named.pop("background", None)
    for name, value in named.items():
        values = value if isinstance(value, list) else [value]
        # True is an int to Python
        if not values or not all(type(v) is int and 0 <= v <= LARGEST_VALUE for v in values):
            raise CardiouqError(
                f"{root / DESCRIPTION}: label {name[:20]!r} is {reprlib.repr(value)}; expected an "
                f"integer of 0 to {LARGEST_VALUE}, or several in a list"
            )
    _check_ignore(named, root / DESCRIPTION)
    return named


def _check_ignore(named: Values, file: Path) -> None:
    """Raise a CardiouqError unless `ignore`, if it is there, is the one largest value, as nnU-Net
    has it."""
    ignore = named.get(IGNORE, LARGEST_VALUE + 1)
    others = [values for name, values in named.items() if name != IGNORE]
    largest = max(np.hstack([0, *others]).tolist())
    if isinstance(ignore, Sequence) or ignore <= largest:
        raise CardiouqError(
            f"{file}: label {IGNORE!r} is {reprlib.repr(ignore)}; expected, as nnU-Net does, one "
            f"integer above all other labels' (the largest is {largest})"
        )


def _read_rows(file: Path, needed: Sequence[str]) -> dict[int, Row]:
    """A table with a value in every column that is needed."""
    rows = read_table(file, needed)
    for line, row in rows.items():
        if empty := [column for column in needed if not row[column]]:
            raise CardiouqError(f"{file}, line {line}: {empty} empty; expected a value")
    return rows


def _subject(name: str, data: DataFolder) -> str:
    """The subject in a case's name, by the data set's pattern."""
    if not data.subject:
        raise CardiouqError(
            f"{data.root}: nothing says which cases are of one subject; give the data set a "
            "pattern `subject`, such as '^(patient[0-9]+)_', or the folder a cases.csv with the "
            "columns case and subject"
        )
    try:
        found = re.match(data.subject, name)
        subject = found[1] if found else ""
    except (re.error, IndexError) as error:
        raise CardiouqError(
            f"{data.root}: `subject` {data.subject!r}: {error}; expected a pattern with one group"
        ) from None
    if not subject:
        raise CardiouqError(f"{data.root}: `subject` {data.subject!r} finds nothing in {name!r}")
    return subject


def _case(name: str, row: Row, image: Path, label: Path, frame: int, part: str) -> FoundCase:
    said = {column: row.get(column, "") for column in SAID}
    others = {key: value for key, value in row.items() if key not in RESERVED | set(SAID)}
    return FoundCase(
        **said, case=name, image=image, label=label, frame=frame, part=part, columns=others
    )
