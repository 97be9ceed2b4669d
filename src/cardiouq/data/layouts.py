"""Adapters: a folder in a data set's official layout becomes a list of cases.

An adapter looks at names only. It returns the cases it found and, in words for the user, every
problem it met; the content of the files is checked by `cardiouq.data.cases`. Subjects without a
label are left out, with a count in the log.
"""

import io
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cardiouq.data.labels import Values, Wanted
from cardiouq.data.pseudonyms import participants
from cardiouq.errors import CardiouqError

log = logging.getLogger(__name__)

PHASES = ("ED", "ES")
TRAINING = "training"
"""Part of a data set, as its challenge divides it, that a study splits."""


@dataclass(frozen=True)
class DataFolder:
    """A data set on disk, as a study names it.

    Attributes:
        layout: a key of `ADAPTERS`.
        root: folder.
        parts: those that the study uses.
        labels: structure -> what it is called on disk, or its value (`labels.match_labels`).
        subject: pattern whose first group in a case's name is the subject (`nnunet`).
    """

    layout: str
    root: Path
    parts: Collection[str] = (TRAINING,)
    labels: Wanted = field(default_factory=dict)
    subject: str = ""


@dataclass(frozen=True)
class FoundCase:
    """One labelled volume on disk; `frame` is the index in a 4-D file, -1 for a 3-D file, and
    `part` which part of its data set it is in, as the challenge divides it."""

    case: str
    subject: str
    phase: str
    pathology: str
    vendor: str
    centre: str
    image: Path
    label: Path
    frame: int
    part: str = TRAINING
    columns: Mapping[str, str] = field(default_factory=dict)
    """What else the data set says of it."""


Found = tuple[list[FoundCase], list[str]]


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
        of_part = sorted(path for path in root.glob(f"{part}/patient*") if path.is_dir())
        folders += of_part
        if not of_part:
            problems.append(
                f"{root}: no folders {part}/patientNNN found; point at the folder that "
                f"holds ACDC's `{part}`"
            )
    for folder in folders:
        info_file = folder / "Info.cfg"
        if not info_file.is_file():
            problems.append(f"{info_file}: missing; every ACDC patient's folder holds one")
            continue
        info = read_info(info_file)
        for phase in PHASES:
            if not info.get(phase, "").isdigit():
                found = f"`{phase}: {info[phase]}`" if phase in info else f"no line `{phase}:`"
                problems.append(
                    f"{info_file}: {found}, expected `{phase}: <frame number>`; restore the file"
                )
                continue
            stem = folder / f"{folder.name}_frame{int(info[phase]):02d}"
            cases.append(
                FoundCase(
                    case=f"{folder.name}_{phase}",
                    subject=folder.name,
                    phase=phase,
                    pathology=info.get("Group", ""),
                    vendor="",
                    centre="",
                    image=stem.with_name(f"{stem.name}.nii.gz"),
                    label=stem.with_name(f"{stem.name}_gt.nii.gz"),
                    frame=-1,
                    part=folder.parent.name,
                )
            )
    return cases, problems


def read_table(path: Path) -> pd.DataFrame:
    """A csv as text, whatever its encoding (UTF-8, UTF-16 with its mark, else Latin-1) and its
    separator (comma, semicolon or tab).

    Raises:
        CardiouqError: if it is no table.
    """
    content = path.read_bytes()
    try:
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    heading = text.lstrip().partition("\n")[0]
    separator = max(",;\t", key=heading.count)
    try:
        return pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' errors are of this class
        raise CardiouqError(f"{path}: cannot be read as a table ({error})") from None


def read_info(path: Path) -> dict[str, str]:
    """The `key: value` lines of an ACDC `Info.cfg`."""
    pairs = (line.split(":", 1) for line in path.read_text(errors="replace").splitlines())
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}


MNMS_COLUMNS = ("External code", "Vendor", "Centre", "ED", "ES")
MNMS_PARTS = {TRAINING: "Training/Labeled", "validation": "Validation", "testing": "Testing"}


def find_mnms(data: DataFolder) -> Found:
    """Cases of M&Ms in its official layout (Campello et al., TMI 2021).

    `Training/Labeled/<code>/<code>_sa.nii.gz`, 4-D, its `_gt`, the same in `Validation` and
    `Testing` for these parts, and one csv at the root that says vendor, centre and the indices of
    ED and ES (the challenge has handed it out under two names).
    """
    root = data.root
    tables = [path for path in root.glob("*.csv") if "dataset_information" in path.name.lower()]
    if len(tables) != 1:
        found = ", ".join(sorted(table.name for table in tables)) or "none"
        return [], [f"{root}: expected one *Dataset_Information*.csv, found {found}"]
    try:
        table = read_table(tables[0])
    except CardiouqError as error:
        return [], [str(error)]
    missing = [column for column in MNMS_COLUMNS if column not in table.columns]
    if missing:
        return [], [f"{tables[0]}: columns {missing} missing, found {list(table.columns)}"]
    repeated = sorted(set(table.loc[table.duplicated("External code"), "External code"]))
    if repeated:
        return [], [f"{tables[0]}: more than one row for {repeated}; expected one per subject"]
    rows = {row["External code"]: row for row in table.to_dict("records")}
    cases: list[FoundCase] = []
    problems: list[str] = []
    folders: dict[Path, str] = {}
    for part in data.parts:
        of_part = [path for path in sorted(root.glob(f"{MNMS_PARTS[part]}/*")) if path.is_dir()]
        if not of_part:
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
        for phase in PHASES:
            if not row[phase].isdigit():
                problems.append(
                    f"{tables[0]}: {phase} of subject {code} is {row[phase]!r}, expected the "
                    "index of a frame"
                )
                continue
            cases.append(
                FoundCase(
                    case=f"{code}_{phase}",
                    subject=code,
                    phase=phase,
                    pathology="",
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
    """Cases of UK Biobank as `ukbb_cardiac` (Bai et al., JCMR 2018) lays them out, each participant
    under a pseudonym: `<id>/sa_ED.nii.gz`, `<id>/label_sa_ED.nii.gz` and the same of ES. It has
    no parts.
    """
    root = data.root
    try:
        found = participants(root)
    except CardiouqError as error:
        return [], [str(error)]
    cases = [
        FoundCase(
            case=f"{subject}_{phase}",
            subject=subject,
            phase=phase,
            pathology="",
            vendor="",
            centre="",
            image=root / subject / f"sa_{phase}.nii.gz",
            label=root / subject / f"label_sa_{phase}.nii.gz",
            frame=-1,
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


OFFICIAL_LABELS: Mapping[str, Values] = {
    "acdc": {"RV": 1, "MYO": 2, "LV": 3},
    "mnms": {"LV": 1, "MYO": 2, "RV": 3},
    "ukbb": {"LV": 1, "MYO": 2, "RV": 3},
}
"""Layout -> structure -> its value on disk."""
