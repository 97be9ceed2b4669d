"""Adapters for data of your own: nnU-Net's raw format, and a table of files.

Both may say of each case what `cases.csv` in the root has columns for: `subject`, `visit`, `phase`,
`pathology`, `vendor`, `centre`, `part`, and any others, by which test sets can be narrowed.
"""

import json
import logging
import os
import re
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cardiouq.data.readers.found import SAID, TRAINING, DataFolder, Found, FoundCase
from cardiouq.data.readers.labels import LARGEST_VALUE, Values
from cardiouq.data.readers.layouts import (
    MOST_NAMED,
    Row,
    by_column,
    is_index,
    read_table,
    read_text,
)
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import visible
from cardiouq.structures import IGNORE

log = logging.getLogger(__name__)

TABLE = "cases.csv"
DESCRIPTION = "dataset.json"
NNUNET_PARTS = {TRAINING: "Tr", "testing": "Ts"}
"""Part of nnU-Net's raw format -> how its folders' names end."""
READ = {"image", "label", "frame", "case", "part", *SAID}
"""Columns of a data set's table that mean something to the program."""
RESERVED = {
    "dataset",
    "labels",
    "image_hash",
    "label_hash",
    "image_identity",
    "label_identity",
    "slices",
    "rows",
    "columns",
    "spacing_z",
    "spacing_y",
    "spacing_x",
    "ignored_voxels",
    "split",
    "test_set",
    "method",
    "structure",
    "slice",
}
"""Names that a column of the user's own cannot have, as tables of the program have them."""


def find_csv(data: DataFolder) -> Found:
    """Cases of a table of files: `cases.csv` with the columns image, label and subject.

    Paths are relative to the table's folder, or absolute. `phase` and the rest are as above;
    `frame` is the index in a 4-D file, `case` a name (unless given, subject and phase).
    """
    file = data.root / TABLE
    try:
        rows = _read_rows(file, ["image", "label", "subject"], data)
    except CardiouqError as error:
        return [], [str(error)]
    cases: list[FoundCase] = []
    problems: list[str] = []
    lines: dict[str, int] = {}
    unused: Counter[str] = Counter()
    for line, row in rows.items():
        frame, part = row.get("frame", ""), row.get("part") or TRAINING
        if frame and not is_index(frame):
            problems.append(
                f"{file}, line {line}: frame {frame[:20]!r}; expected an index, or nothing"
            )
        elif part in data.parts:
            said = (row.get(column) for column in ("subject", data.visit or "visit", "phase"))
            name = row.get("case") or "_".join(filter(None, said))
            if lines.setdefault(name, line) != line:
                problems.append(
                    f"{file}, line {line}: case {name!r} stands on line {lines[name]} too; list it "
                    "once, or tell them apart in a column case"
                )
                continue
            image, label = (data.root / row[column] for column in ("image", "label"))
            cases.append(_case(name, row, image, label, int(frame or -1), part, data))
        elif near := [used for used in data.parts if used.casefold() == part.casefold()]:
            problems.append(f"{file}, line {line}: part {part!r}; the study calls it {near[0]!r}")
        else:
            unused[part] += 1
    for part, count in unused.items():
        log.info("%s: %d row(s) of the part %r, which the study does not use", file, count, part)
    if unused and not cases:
        problems.append(f"{file}: parts {list(unused)[:MOST_NAMED]}; expected {list(data.parts)}")
    return cases, problems


def find_nnunet(data: DataFolder) -> Found:
    """Cases of nnU-Net's raw format.

    That is `dataset.json`, `imagesTr/<case>_0000.nii.gz` (the first channel is read) and
    `labelsTr/<case>.nii.gz`; `imagesTs` and `labelsTs` are the part testing.

    The format does not say which cases are of one subject, and a subject on both sides of a split
    makes every number worthless: `cases.csv` says it in the columns case and subject (and `name`,
    if results are to call the case differently), or the data set's pattern `subject` reads it off
    the case's name.
    """
    try:
        description = read_description(data.root)
        ending = description.get("file_ending", ".nii.gz")
        if ending not in (".nii.gz", ".nii"):
            raise CardiouqError(
                f"{data.root / DESCRIPTION}: files end in {ending}; expected NIfTI, .nii.gz"
            )
        files = {part: _nnunet_files(description, part, ending, data) for part in data.parts}
        table = data.root / TABLE
        rows: dict[str, Row] = {}
        if os.path.lexists(table):  # a folder or a broken link of that name is an error
            rows = by_column("case", table, _read_rows(table, ["case", "subject"], data))
            _check_rows(table, rows, files)
        elif data.visit:
            raise CardiouqError(f"{table}: missing; expected the column {data.visit!r} of visits")
    except CardiouqError as error:
        return [], [str(error)]
    cases: list[FoundCase] = []
    problems: list[str] = []
    for part in data.parts:
        if not files[part] and part not in data.optional:
            problems.append(f"{data.root / _folder('labels', part)}: no labels *{ending} found")
        for name, (image, label) in files[part].items():
            try:
                row = dict(rows.get(name) or {"subject": _subject(name, data)})
            except CardiouqError as error:
                return [], [str(error)]
            called = row.pop("name", "") or name
            cases.append(_case(called, row, image, label, -1, part, data))
    if without := rows.keys() - {name for of_part in files.values() for name in of_part}:
        log.info("%s: %d row(s) of cases that are not among the labels", table, len(without))
    return cases, problems


def _check_rows(
    table: Path, rows: Mapping[str, Row], files: Mapping[str, Mapping[str, Any]]
) -> None:
    """Raise a CardiouqError unless a table has a row of each case, of the part it lies in.

    What a pattern calls the subject of a case may be another name than the table's.
    """
    part_of = {name: part for part, of_part in files.items() for name in of_part}
    if without := sorted(part_of.keys() - rows.keys()):
        raise CardiouqError(
            f"{table}: no row of {len(without)} case(s) that have a label, as "
            f"{without[:MOST_NAMED]}; expected one of each"
        )
    for name, part in part_of.items():
        if (said := rows[name].get("part") or part) != part:
            raise CardiouqError(
                f"{table}: case {name!r} is of the part {said!r}, but its label lies in "
                f"{_folder('labels', part)}, which is the part {part!r}; move it, or leave the "
                "column empty"
            )


def _folder(kind: str, part: str) -> str:
    """nnU-Net's folder of the images or labels of a part."""
    return f"{kind}{NNUNET_PARTS[part]}"


def _nnunet_files(
    description: Mapping[str, Any], part: str, ending: str, data: DataFolder
) -> dict[str, tuple[Path, Path]]:
    """Case -> image (its first channel) and label.

    They are those that the description lists under `dataset`, as nnU-Net v2 lets it for training,
    else those in the folders.

    Raises:
        CardiouqError: if the description lists something else than images and labels.
    """
    listed = description.get("dataset")
    if part == TRAINING and listed is not None:
        try:
            return {
                name: (data.root / entry["images"][0], data.root / entry["label"])
                for name, entry in sorted(listed.items())
            }
        except (AttributeError, LookupError, TypeError):
            raise CardiouqError(
                f"{data.root / DESCRIPTION}: `dataset` is {reprlib.repr(listed)}; expected "
                '{"<case>": {"images": ["<file>"], "label": "<file>"}}'
            ) from None
    images, labels = (data.root / _folder(kind, part) for kind in ("images", "labels"))
    found = {file.name.removesuffix(ending): file for file in visible(labels.glob(f"*{ending}"))}
    seen = {file.name for file in visible(images.glob(f"*_0000{ending}"))}
    if without := seen - {f"{name}_0000{ending}" for name in found}:
        log.info("%s: %d image(s) without a label are left out", images, len(without))
    return {name: (images / f"{name}_0000{ending}", label) for name, label in found.items()}


def read_description(root: Path) -> dict[str, Any]:
    """Read the `dataset.json` of nnU-Net's raw format.

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
    """Raise a CardiouqError unless `ignore`, if it is there, is above all other labels' values."""
    ignore = named.get(IGNORE, LARGEST_VALUE + 1)
    others = [values for name, values in named.items() if name != IGNORE]
    largest = max(np.hstack([0, *others]).tolist())
    if isinstance(ignore, Sequence) or ignore <= largest:
        raise CardiouqError(
            f"{file}: label {IGNORE!r} is {reprlib.repr(ignore)}; expected, as nnU-Net does, one "
            f"integer above all other labels' (the largest is {largest})"
        )


def _read_rows(file: Path, needed: Sequence[str], data: DataFolder) -> dict[int, Row]:
    """A table with a value in every column that is needed, and no column but its own."""
    rows = read_table(file, [*needed, *([data.visit] if data.visit else [])])
    columns = {column for row in rows.values() for column in row}
    if taken := sorted(columns & RESERVED):
        raise CardiouqError(
            f"{file}: columns {taken}; tables of the program have columns of these names. Rename "
            "them"
        )
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


def _case(
    name: str, row: Row, image: Path, label: Path, frame: int, part: str, data: DataFolder
) -> FoundCase:
    """The case of a row of the user's table."""
    said = {column: row.get(column, "") for column in SAID}
    if data.visit:
        said["visit"] = row.get(data.visit, "")
    others = {key: value for key, value in row.items() if key not in READ}
    return FoundCase(
        **said, case=name, image=image, label=label, frame=frame, part=part, columns=others
    )
