"""Adapters: a folder in a data set's official layout becomes a list of cases.

An adapter looks at names only. It returns the cases it found and, in words for the user, every
problem it met; the content of the files is checked by `cardiouq.data.cases`. Subjects without a
label are left out, with a count in the log.
"""

import csv
import io
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cardiouq.data.readers.found import PHASES, TRAINING, DataFolder, Found, FoundCase
from cardiouq.data.readers.pseudonyms import participants
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import visible

log = logging.getLogger(__name__)

MOST_TEXT = 2**25
"""Bytes of a table or description; a larger file is none."""
MOST_NAMED = 20
"""Columns or rows in an error."""


def find_acdc(data: DataFolder) -> Found:
    """Cases of ACDC's official layout (Bernard et al., TMI 2018).

    `root` holds `training/patientNNN/` and, for the part `testing`, `testing/patientNNN/`, with
    `Info.cfg` and one image and label per phase; 4-D cines beside them are not needed and not read.
    """
    root = data.root
    cases: list[FoundCase] = []
    problems: list[str] = []
    folders: list[Path] = []
    for part in data.parts:
        of_part = _folders(root.glob(f"{part}/patient*"))
        folders += of_part
        if not of_part and part not in data.optional:
            problems.append(
                f"{root}: no folders {part}/patientNNN found; point at the folder that "
                f"holds ACDC's `{part}`"
            )
    for folder in folders:
        info_file = folder / "Info.cfg"
        try:
            info = read_info(info_file)
        except CardiouqError as error:
            problems.append(str(error))
            continue
        if wrong := [phase for phase in PHASES if not is_index(info.get(phase, ""))]:
            found = " and ".join(
                f"`{phase}: {info[phase][:20]}`" if phase in info else f"no line `{phase}:`"
                for phase in wrong
            )
            problems.append(
                f"{info_file}: {found}, expected `{wrong[0]}: <frame number>`; restore the file"
            )
            continue
        for phase in PHASES:
            stem = folder / f"{folder.name}_frame{int(info[phase]):02d}"
            cases.append(
                FoundCase(
                    case=f"{folder.name}_{phase}",
                    subject=folder.name,
                    phase=phase,
                    pathology=info.get("Group", ""),
                    image=stem.with_name(f"{stem.name}.nii.gz"),
                    label=stem.with_name(f"{stem.name}_gt.nii.gz"),
                    part=folder.parent.name,
                )
            )
    return cases, problems


def _folders(paths: Iterable[Path]) -> list[Path]:
    """Visible folders, and links to folders that are gone: no subject is to go unnoticed."""
    return [path for path in visible(paths) if path.is_dir() or path.is_symlink()]


def read_text(path: Path) -> str:
    """A text, whatever its encoding (UTF-8, UTF-16 with its mark, else Latin-1) and line ends.

    Raises:
        CardiouqError: if there is no file, or it is no text, or larger than any that is read here.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise CardiouqError(f"{path}: missing; expected a file")
        with path.open("rb") as stream:
            content = stream.read(MOST_TEXT + 1)
    except OSError as error:
        raise CardiouqError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > MOST_TEXT:
        raise CardiouqError(f"{path}: more than {MOST_TEXT:,} bytes; expected a text of fewer")
    try:
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if "\0" in text:
        raise CardiouqError(f"{path}: holds zero bytes; expected text, best saved as UTF-8")
    return re.sub(r"\r\n?", "\n", text)


Row = Mapping[str, str]
"""Column -> cell of a row of a table."""


def read_table(path: Path, needed: Sequence[str]) -> dict[int, Row]:
    """Line -> row of a csv with any separator (comma, semicolon or tab); empty lines are skipped.

    A line break or tab in a cell, as spreadsheets allow it, is read as a space.

    Raises:
        CardiouqError: if it is no table, or lacks a column that is needed.
    """
    text = read_text(path)
    first = text.lstrip().partition("\n")[0]
    lines = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        read = ((lines.line_num, [_on_one_line(cell) for cell in line]) for line in lines)
        cells = {line: row for line, row in read if any(row)}
    except csv.Error as error:
        raise CardiouqError(
            f"{path}, line {lines.line_num}: cannot be read as a table ({error})"
        ) from None
    heading = cells.pop(min(cells, default=0), [])
    if missing := [column for column in needed if column not in heading]:
        found = [column[:MOST_NAMED] for column in heading[:MOST_NAMED]]
        raise CardiouqError(f"{path}: columns {missing} missing, found {found}")
    if repeated := _repeated(filter(None, heading)):
        raise CardiouqError(f"{path}: more than one column {repeated}; expected one of each")
    for line, row in cells.items():
        if len(row) > len(heading):
            raise CardiouqError(
                f"{path}, line {line}: {len(row)} cells; expected the heading's {len(heading)}"
            )
    empty = dict.fromkeys(needed, "")  # where a row is shorter than the heading
    return {line: empty | dict(zip(heading, row, strict=False)) for line, row in cells.items()}


def _on_one_line(cell: str) -> str:
    return re.sub(r"\s*[\r\n\t]+\s*", " ", cell.strip())


def _repeated(names: Iterable[str]) -> list[str]:
    """Names that there are more than once, at most as many as an error lists."""
    return [name for name, count in Counter(names).items() if count > 1][:MOST_NAMED]


def by_column(column: str, path: Path, rows: Mapping[int, Row]) -> dict[str, Row]:
    """What rows have in a column -> the row.

    Raises:
        CardiouqError: if two have the same.
    """
    if repeated := _repeated(row[column] for row in rows.values()):
        raise CardiouqError(f"{path}: more than one row for {repeated}; expected one of each")
    return {row[column]: row for row in rows.values()}


def read_info(path: Path) -> dict[str, str]:
    """The `key: value` lines of an ACDC `Info.cfg`."""
    pairs = (line.split(":", 1) for line in read_text(path).split("\n"))
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}


def is_index(text: str) -> bool:
    """Whether a text is the number of a frame; "²" and numbers of a thousand digits are none."""
    return re.fullmatch("[0-9]{1,9}", text) is not None


MNMS_COLUMNS = ("External code", "Vendor", "Centre", "ED", "ES")
MNMS_PARTS = {TRAINING: "Training/Labeled", "validation": "Validation", "testing": "Testing"}
"""Part of M&Ms -> its folder."""


def find_mnms(data: DataFolder) -> Found:
    """Cases of M&Ms in its official layout (Campello et al., TMI 2021).

    `Training/Labeled/<code>/<code>_sa.nii.gz`, 4-D, its `_gt`, the same in `Validation` and
    `Testing` for these parts, and one csv at the root that says vendor, centre and the indices of
    ED and ES (the challenge has handed it out under two names).
    """
    root = data.root
    tables = [p for p in visible(root.glob("*.csv")) if "dataset_information" in p.name.lower()]
    if len(tables) != 1:
        found = ", ".join(sorted(table.name for table in tables)) or "none"
        return [], [f"{root}: expected one *Dataset_Information*.csv, found {found}"]
    try:
        rows = by_column("External code", tables[0], read_table(tables[0], MNMS_COLUMNS))
    except CardiouqError as error:
        return [], [str(error)]
    cases: list[FoundCase] = []
    problems: list[str] = []
    folders: dict[Path, str] = {}
    # its label files are there, and empty
    if unlabelled := len(visible(root.glob("Training/Unlabeled/*/"))):
        log.info("%s: %d subject(s) of Training/Unlabeled are left out", root, unlabelled)
    for part in data.parts:
        of_part = _folders(root.glob(f"{MNMS_PARTS[part]}/*"))
        if not of_part and part not in data.optional:
            problems.append(f"{root}: no folders {MNMS_PARTS[part]}/<code> found")
        labelled = [path for path in of_part if (path / f"{path.name}_sa_gt.nii.gz").is_file()]
        if part != TRAINING and len(labelled) < len(of_part):
            without = len(of_part) - len(labelled)
            log.info("%s: %d subject(s) without a label are left out", root, without)
            of_part = labelled
        folders |= dict.fromkeys(of_part, part)
    for folder, part in folders.items():
        code = folder.name
        if code not in rows:
            problems.append(f"{tables[0]}: no row for subject {code}, whose scans are in {folder}")
            continue
        row = rows[code]
        if wrong := [phase for phase in PHASES if not is_index(row[phase])]:
            found = " and ".join(f"{phase} is {row[phase][:20]!r}" for phase in wrong)
            problems.append(
                f"{tables[0]}: of subject {code} {found}, expected the index of a frame"
            )
            continue
        for phase in PHASES:
            cases.append(
                FoundCase(
                    case=f"{code}_{phase}",
                    subject=code,
                    phase=phase,
                    vendor=row["Vendor"],
                    centre=row["Centre"],
                    image=folder / f"{code}_sa.nii.gz",
                    label=folder / f"{code}_sa_gt.nii.gz",
                    frame=int(row[phase]),
                    part=part,
                )
            )
    return cases, problems


def find_ukbb(data: DataFolder) -> Found:
    """Cases of UK Biobank as `ukbb_cardiac` (Bai et al., JCMR 2018) lays them out.

    `<id>/sa_ED.nii.gz`, `<id>/label_sa_ED.nii.gz` and the same of ES, each participant under a
    pseudonym. It has no parts.
    """
    root = data.root
    try:
        found = participants(root)
    except CardiouqError as error:
        return [], [str(error)]
    except UnicodeEncodeError:
        return [], [f"{root}: the name of a folder is no UTF-8; expected a participant's id"]
    cases = [
        FoundCase(
            case=f"{subject}_{phase}",
            subject=subject,
            phase=phase,
            image=root / subject / f"sa_{phase}.nii.gz",
            label=root / subject / f"label_sa_{phase}.nii.gz",
        )
        for subject, folder in found.items()
        for phase in PHASES
        if (folder / f"label_sa_{phase}.nii.gz").is_file()
    ]
    if without := len(found) - len({case.subject for case in cases}):
        log.info("%s: %d participant(s) without a label are left out", root, without)
    if not cases:
        return [], [f"{root}: no <id>/label_sa_ED.nii.gz found in any folder of a participant"]
    return cases, []
