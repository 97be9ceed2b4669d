"""Adapters: a folder in a data set's official layout becomes a list of cases.

An adapter looks at names only. It returns the cases it found and, in words for the user, every
problem it met; the content of the files is checked by `cardiouq.data.cases`.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

PHASES = ("ED", "ES")


@dataclass(frozen=True)
class FoundCase:
    """One labelled volume on disk; `frame` is the index in a 4-D file, -1 for a 3-D file."""

    case: str
    subject: str
    phase: str
    pathology: str
    vendor: str
    centre: str
    image: Path
    label: Path
    frame: int


Found = tuple[list[FoundCase], list[str]]


def find_acdc(root: Path) -> Found:
    """Cases of ACDC's official layout (Bernard et al., TMI 2018).

    `root` holds `training/patientNNN/`, with `Info.cfg` and one image and label per phase; 4-D
    cines beside them are not needed and not read.
    """
    cases: list[FoundCase] = []
    problems: list[str] = []
    folders = sorted(path for path in root.glob("training/patient*") if path.is_dir())
    if not folders:
        problems.append(
            f"{root}: no folders training/patientNNN found; point at the folder that "
            "holds ACDC's `training`"
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
                )
            )
    return cases, problems


def read_info(path: Path) -> dict[str, str]:
    """The `key: value` lines of an ACDC `Info.cfg`."""
    pairs = (line.split(":", 1) for line in path.read_text(errors="replace").splitlines())
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}


MNMS_COLUMNS = ("External code", "Vendor", "Centre", "ED", "ES")


def find_mnms(root: Path) -> Found:
    """Cases of the labelled training part of M&Ms in its official layout (Campello et al., TMI
    2021): `Training/Labeled/<code>/<code>_sa.nii.gz`, 4-D, its `_gt`, and one csv at the root that
    says vendor, centre and the indices of ED and ES.
    """
    tables = sorted(root.glob("*Dataset_Information*.csv"))
    if len(tables) != 1:
        found = ", ".join(table.name for table in tables) or "none"
        return [], [f"{root}: expected one *Dataset_Information*.csv, found {found}"]
    table = pd.read_csv(tables[0], dtype=str, keep_default_na=False)
    missing = [column for column in MNMS_COLUMNS if column not in table.columns]
    if missing:
        return [], [f"{tables[0]}: columns {missing} missing, found {list(table.columns)}"]
    repeated = sorted(set(table.loc[table.duplicated("External code"), "External code"]))
    if repeated:
        return [], [f"{tables[0]}: more than one row for {repeated}; expected one per subject"]
    rows = {row["External code"]: row for row in table.to_dict("records")}
    folders = sorted(path for path in root.glob("Training/Labeled/*") if path.is_dir())
    cases: list[FoundCase] = []
    problems: list[str] = []
    if not folders:
        problems.append(f"{root}: no folders Training/Labeled/<code> found")
    for folder in folders:
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
                )
            )
    return cases, problems


ADAPTERS = {"acdc": find_acdc, "mnms": find_mnms}
