"""Adapters for data of your own: nnU-Net's raw format, and a table of files.

Both may say of each case what `cases.csv` in the root has columns for: `subject`, `phase`,
`pathology`, `vendor`, `centre`, `part`, and any others, by which test sets can be narrowed.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cardiouq.data.labels import Values
from cardiouq.data.layouts import TRAINING, DataFolder, Found, FoundCase, read_table
from cardiouq.errors import CardiouqError

TABLE = "cases.csv"
DESCRIPTION = "dataset.json"
NNUNET_PARTS = {TRAINING: "Tr", "testing": "Ts"}
SAID = ("subject", "phase", "pathology", "vendor", "centre")
"""Columns that every layout has."""
RESERVED = {
    *(
        "case",
        "name",
        "part",
        "image",
        "label",
        "frame",
        "dataset",
        "labels",
        "image_hash",
        "label_hash",
    ),
    *("slices", "rows", "columns", "spacing_z", "spacing_y", "spacing_x"),
}
"""Names that a column of the user's own cannot have in the case table."""

Row = Mapping[str, str]


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
    for line, row in enumerate(rows, start=2):
        frame = row.get("frame", "")
        if frame and not frame.isdigit():
            problems.append(f"{file}, line {line}: frame {frame!r}; expected an index, or nothing")
        elif row.get("part", "") in ("", *data.parts):
            name = row.get("case") or "_".join(filter(None, (row["subject"], row.get("phase"))))
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
        rows: dict[str, Row] = {}
        if (data.root / TABLE).is_file():
            rows = {row["case"]: row for row in _read_rows(data.root / TABLE, ["case", "subject"])}
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
        for file in files:
            name = file.name.removesuffix(ending)
            image = data.root / f"images{NNUNET_PARTS[part]}" / f"{name}_0000{ending}"
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
    if not file.is_file():
        raise CardiouqError(f"{file}: missing; nnU-Net's raw format has one in its root")
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
        if not isinstance(found["labels"], dict):
            raise TypeError("labels is no object")
    except (ValueError, KeyError, TypeError) as error:
        raise CardiouqError(
            f"{file}: cannot be read ({error!r}); expected nnU-Net's JSON object with `labels`"
        ) from None
    description: dict[str, Any] = found
    return description


def nnunet_labels(root: Path) -> Values:
    """Name -> values of `dataset.json`, whose first version has values as keys."""
    labels = read_description(root)["labels"]
    named = {name: value for name, value in labels.items() if not str(name).isdigit()}
    named |= {str(value): int(name) for name, value in labels.items() if str(name).isdigit()}
    return {name: value for name, value in named.items() if name != "background"}


def _read_rows(file: Path, needed: list[str]) -> list[Row]:
    if not file.is_file():
        raise CardiouqError(f"{file}: missing; expected a table with the columns {needed}")
    table = read_table(file)
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise CardiouqError(f"{file}: columns {missing} missing, found {list(table.columns)}")
    rows: list[Row] = [
        {str(key): str(value).strip() for key, value in row.items()}
        for row in table.to_dict("records")
    ]
    for line, row in enumerate(rows, start=2):
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
    found = re.match(data.subject, name)
    if not found or not found[1]:
        raise CardiouqError(f"{data.root}: `subject` {data.subject!r} finds nothing in {name!r}")
    return found[1]


def _case(name: str, row: Row, image: Path, label: Path, frame: int, part: str) -> FoundCase:
    said = {column: row.get(column, "") for column in SAID}
    others = {key: value for key, value in row.items() if key not in RESERVED | set(SAID)}
    return FoundCase(
        **said, case=name, image=image, label=label, frame=frame, part=part, columns=others
    )
