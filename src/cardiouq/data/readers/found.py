"""What an adapter is given, and what it returns: a folder as a study names it, and its cases.

What is made from cases shares these words with the adapters, and depends on none of them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cardiouq.data.readers.labels import Wanted

PHASES = ("ED", "ES")
TRAINING = "training"
"""Part of a data set, as its challenge divides it, that a study splits."""
SAID = ("subject", "visit", "phase", "pathology", "vendor", "centre")
"""Columns that every layout has."""


@dataclass(frozen=True)
class DataFolder:
    """A data set on disk, as a study names it.

    Attributes:
        layout: a key of `ADAPTERS`.
        root: folder.
        parts: those that the study uses.
        labels: structure -> what it is called on disk, or its value (`labels.match_labels`).
        subject: pattern whose first group in a case's name is the subject (`nnunet`).
        visit: column that tells the visits of a subject apart (`csv`, `nnunet`); unless set
            `visit`, if there is one.
        optional: parts that the study uses if they are there.
    """

    layout: str
    root: Path
    parts: Collection[str] = (TRAINING,)
    labels: Wanted = field(default_factory=dict)
    subject: str = ""
    visit: str = ""
    optional: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class FoundCase:
    """One labelled volume on disk.

    Attributes:
        frame: index in a 4-D file, -1 for a 3-D file.
        part: of its data set, as the challenge divides it.
        visit: which of several of its subject (or view, or rater) it is of.
        columns: what else the data set says of it.
    """

    case: str
    subject: str
    phase: str
    pathology: str = ""
    vendor: str = ""
    centre: str = ""
    image: Path
    label: Path
    frame: int = -1
    part: str = TRAINING
    visit: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


Found = tuple[list[FoundCase], list[str]]
"""Cases of a data set, and in words what is wrong with it."""
