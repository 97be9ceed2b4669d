"""The rows of the case table: every labelled volume, checked before anything long starts."""

import logging
import re
import unicodedata
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.data.readers.adapters import ADAPTERS
from cardiouq.data.readers.found import PHASES, SAID, DataFolder, FoundCase
from cardiouq.data.readers.identity import hash_of, identity_of
from cardiouq.data.readers.labels import match_labels
from cardiouq.data.readers.own import TABLE
from cardiouq.data.readers.scans import (
    MOST_NAMED,
    VOXEL_TOLERANCE,
    as_intensities,
    check_axes,
    in_mm,
    in_project_order,
    read_scan,
)
from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.logs import printable
from cardiouq.names import EXPECTED, is_name
from cardiouq.structures import IGNORE, IGNORED, STRUCTURES

log = logging.getLogger(__name__)

CASE_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
"""Pattern of a case's name, without the `+` that sets the kind of a distortion apart."""
AFFINE_TOLERANCE = 1e-3
"""Largest difference in mm between an image's affine and its label's that is no error."""


def make_case_table(datasets: Mapping[str, DataFolder]) -> pd.DataFrame:
    """List and check the cases of every data set.

    Returns:
        One row per case; spacings in mm, `image_hash` identifies the image's content, `labels` says
        which values of the label are which structure (`data.readers.labels`), `ignored_voxels` how
        many voxels nobody annotated.

    Raises:
        ProblemsError: naming every file that is missing, broken or inconsistent, all at once and
            each once.
    """
    problems: list[str] = []
    rows: list[dict[str, Any]] = []
    for dataset, data in datasets.items():
        if not data.root.is_dir():
            problems.append(f"{data.root}: data set {dataset} is not there; expected a folder")
            continue
        adapter = ADAPTERS[data.layout]
        try:
            known = adapter.known_labels(data.root)
            where = f"{data.root / adapter.labels_file}: data set {dataset}"
            labels = match_labels(known, data.labels, STRUCTURES, where)
            found, layout_problems = adapter.find(data)
        except CardiouqError as error:
            problems.append(str(error))
            continue
        except OSError as error:
            problems.append(f"{data.root}: cannot be listed ({error.strerror})")
            continue
        if not found and not layout_problems:
            layout_problems = [f"{data.root}: no labelled case of {list(data.parts)} found"]
        if strange := [case.case for case in found if not re.fullmatch(CASE_NAME, case.case)]:
            layout_problems.append(
                f"{data.root}: cases {strange[:MOST_NAMED]}; expected names of at most 100 "
                "letters, digits, `_`, `-` and `.`, as files are called by them"
            )
        named = [case for case in found if case.case not in strange]
        problems += layout_problems + _not_told_apart(found, data) + _no_names(named, data)
        known_readable: set[Path] = set()
        broken: set[Path] = set()
        # in an order that does not depend on how a layout names its files
        for case in sorted(found, key=lambda case: case.case):
            files = (case.image, case.label)
            if case.case in strange or not broken.isdisjoint(files):
                continue  # has been told, of another frame
            try:
                rows.append({"dataset": dataset} | check_case(case, labels, known_readable))
                known_readable.update(files)
            except CardiouqError as error:
                problems.append(str(error))
                broken.update(files)
    table = pd.DataFrame(rows)
    if not problems:
        problems += _repeated(table)
    if problems:
        raise ProblemsError(
            f"{len(problems)} problem(s) in the scans. Mend these files, or take their subjects "
            "out of the folder, and run again:",
            [printable(problem) for problem in problems],
        )
    _log_ignored(table)
    _warn_of_phases(table)
    return table


def _repeated(table: pd.DataFrame) -> list[str]:
    """The problem, if there is any, of cases or subjects who would be taken for one."""
    repeated = table[table.duplicated("case")]
    if len(repeated):
        return [
            f"{repeated['image'].iloc[0]}: cases {repeated['case'].tolist()[:MOST_NAMED]} are "
            "listed before, of another data set or part; list each once"
        ]
    alike = table[table["case"].str.casefold().duplicated(keep=False)]
    if len(alike):
        return [
            f"{alike['image'].iloc[0]}: cases {sorted(alike['case'])[:MOST_NAMED]} differ in "
            "capital letters alone, and their files are the same on some disks; rename them"
        ]
    subjects = table.drop_duplicates(["dataset", "subject"])
    spelt = subjects["subject"].map(_folded)
    alike = subjects[pd.concat([subjects["dataset"], spelt], axis=1).duplicated(keep=False)]
    if len(alike):
        return [
            f"{alike['image'].iloc[0]}: subjects {sorted(alike['subject'])[:MOST_NAMED]} of data "
            f"set {alike['dataset'].iloc[0]} differ in capital letters, spaces or accents' "
            "encoding alone; write a subject in one way, as no one may stand on both sides of a "
            "split"
        ]
    # evaluation knows subjects of all test sets by their names alone
    shared = subjects[subjects.duplicated("subject")]
    if len(shared):
        return [
            f"{shared['image'].iloc[0]}: subjects {sorted(shared['subject'])[:MOST_NAMED]} of data "
            f"set {shared['dataset'].iloc[0]} are called as subjects of another one, and would be "
            "taken for them; rename them in one of the two (`subject` of its table, or let its "
            "pattern take in more of a case's name). If they are the same people, make the two "
            "data sets parts of one"
        ]
    return []


def _folded(subject: str) -> str:
    """A subject's name, whatever its capitals, spaces and the encoding of its accents."""
    return " ".join(unicodedata.normalize("NFKC", subject).casefold().split())


def _no_names(cases: Sequence[FoundCase], data: DataFolder) -> list[str]:
    """The problem, if there is any, of texts that no table, page or figure could show."""
    strange = [
        f"{column} {text!r} of {case.case}"
        for case in cases
        for column, text in _texts(case).items()
        if text and not is_name(text)
    ]
    strange += [
        f"column {column!r}"
        for column in {column for case in cases for column in case.columns}
        if column and not is_name(column)
    ]
    if not strange:
        return []
    return [
        f"{data.root}: {len(strange)} text(s) are no names, as {'; '.join(strange[:MOST_NAMED])}; "
        f"expected {EXPECTED}"
    ]


def _texts(case: FoundCase) -> dict[str, str]:
    """Column -> what the data set says of a case in words."""
    return {
        **case.columns,
        **{column: getattr(case, column) for column in ("part", *SAID)},
    }


def _not_told_apart(cases: Sequence[FoundCase], data: DataFolder) -> list[str]:
    """The problem, if there is any, of cases of one subject at one phase of one visit: an ejection
    fraction would be read off two visits, views or raters."""
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for case in cases:
        if case.phase:
            alike[case.part, case.subject, case.visit, case.phase].append(case.case)
    several = [
        f"{subject} at {phase}{f' of visit {visit}' if visit else ''} ({', '.join(names)})"
        for (_, subject, visit, phase), names in alike.items()
        if len(names) > 1
    ]
    if not several:
        return []
    return [
        f"{data.root}: {len(several)} times a subject has several cases at one phase, as "
        f"{'; '.join(several[:MOST_NAMED])}; expected one. If they are of several visits, views or "
        f"raters, say which in a column `visit` of {TABLE}, or let `visit` of the data set in the "
        "study name the column that says it"
    ]


def _log_ignored(table: pd.DataFrame) -> None:
    """Say how much of each data set nobody annotated."""
    for dataset, cases in table.groupby("dataset"):
        of_cases = cases["ignored_voxels"]
        if of_cases.any():
            voxels = (cases["slices"] * cases["rows"] * cases["columns"]).sum()
            text = "%s: nobody annotated %d voxels (%.1f %%), in %d of %d cases; they have no score"
            ignored, where = of_cases.sum(), (of_cases > 0).sum()
            log.info(text, dataset, ignored, 100 * ignored / voxels, where, len(cases))


def _warn_of_phases(table: pd.DataFrame) -> None:
    """Say of each data set which phases no clinical quantity is read off."""
    others = table[~table["phase"].isin([*PHASES, ""])]
    for dataset, cases in others.groupby("dataset"):
        log.warning(
            "%s: %d cases are at the phases %s; clinical quantities are read off %s alone, so "
            "these have none. If they are those phases, call them so",
            dataset,
            len(cases),
            sorted(set(cases["phase"]))[:MOST_NAMED],
            " and ".join(PHASES),
        )


def check_case(
    found: FoundCase, labels: str, known_readable: Container[Path] = frozenset()
) -> dict[str, Any]:
    """One row of the case table, or a CardiouqError that says what is wrong with the files.

    Each is read to its end, but those that are known to be `known_readable`.
    """
    (scan, image), (reference, label) = (
        read_scan(path, found.frame, to_end=path not in known_readable)
        for path in (found.image, found.label)
    )
    if scan.shape != reference.shape:
        raise CardiouqError(
            f"{found.label}: shape {reference.shape} differs from its image's {scan.shape} "
            f"({found.image.name}); expected the same grid"
        )
    zooms, of_label = (
        [float(zoom) for zoom in file.header.get_zooms()[:3]] for file in (scan, reference)
    )
    if not np.allclose(zooms, of_label, rtol=VOXEL_TOLERANCE):
        raise CardiouqError(
            f"{found.label}: voxel size {in_mm(of_label)} differs from its image's {in_mm(zooms)} "
            f"({found.image.name}); expected the same. Is it the label of another scan?"
        )
    check_axes(found.image, scan)
    if not np.allclose(scan.affine, reference.affine, atol=AFFINE_TOLERANCE):
        raise CardiouqError(
            f"{found.label}: affine {reference.affine.round(3).tolist()} differs from its image's "
            f"{scan.affine.round(3).tolist()}; expected the same geometry"
        )
    intensities = as_intensities(image, found.image)  # as `read_image` gives them
    structures = in_project_order(label, labels, found.label)
    ignored = structures == IGNORED
    if ignored.all():
        raise CardiouqError(f"{found.label}: every voxel is {IGNORE!r}; expected annotated ones")
    return {
        **found.columns,
        "case": found.case,
        "subject": found.subject,
        "visit": found.visit,
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
        "ignored_voxels": np.count_nonzero(ignored),
        "image_hash": hash_of(intensities),
        "label_hash": hash_of(structures),
        "image_identity": identity_of(intensities),
        "label_identity": identity_of(structures),
    }
