"""Subject-level split into training and validation, and the cases of each test set."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd

from cardiouq.data.scans import Case
from cardiouq.errors import CardiouqError, ProblemsError


def split_subjects(cases: pd.DataFrame, validation_fraction: float, seed: int) -> pd.DataFrame:
    """Assign each subject of one data set to `train` or `validation`, stratified by pathology.

    Subjects with an image in common (some patients of ACDC are bit-identical copies) form one group
    that stays on one side. The order of groups is that of a hash of seed and subject, so the
    split is the same on every platform and does not depend on the order of rows.

    Args:
        cases: rows of the case table of one data set.
        validation_fraction: share of each pathology's subjects held out.
        seed: the study's seed.

    Returns:
        Columns dataset, subject, pathology, split; one row per subject, sorted by subject.
    """
    subjects = cases.drop_duplicates("subject").set_index("subject").sort_index()
    group_of = _groups(cases)
    validation: set[str] = set()
    for _, stratum in subjects.groupby("pathology"):
        quota = round(len(stratum) * validation_fraction)
        groups = sorted(
            {group_of[subject] for subject in stratum.index},
            key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).hexdigest(),
        )
        for group in groups:
            members = {subject for subject in group_of if group_of[subject] == group}
            if members <= set(stratum.index) and len(members) <= quota:
                validation |= members
                quota -= len(members)
    split = subjects.reset_index()[["dataset", "subject", "pathology"]]
    split["split"] = ["validation" if s in validation else "train" for s in split["subject"]]
    if split["split"].nunique() < 2:
        raise CardiouqError(
            f"the split of {len(split)} subject(s) leaves no one to train or to test on; expected "
            f"subjects in both parts with validation_fraction {validation_fraction}"
        )
    return split


def _groups(cases: pd.DataFrame) -> dict[str, str]:
    """Subject -> name of its group; subjects linked by equal images share a group."""
    group_of = {subject: subject for subject in cases["subject"]}
    for _, same in cases.groupby("image_hash"):
        linked = {group_of[subject] for subject in same["subject"]}
        for subject, group in group_of.items():
            if group in linked:
                group_of[subject] = min(linked)
    return group_of


def check_split(split: pd.DataFrame) -> None:
    """Raise a ProblemsError naming every subject that is listed twice, on both sides or on one."""
    repeated = split[split.duplicated(["dataset", "subject"], keep=False)]
    if len(repeated):
        raise ProblemsError(
            "subjects more than once in the split; each belongs to one side:",
            [
                f"{row.dataset}: {row.subject} in {row.split}"
                for row in repeated.sort_values("subject").itertuples()
            ],
        )


def select_test_cases(
    cases: pd.DataFrame, split: pd.DataFrame, test_sets: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """The cases of each test set: columns test_set, case.

    A test set names its data set and may narrow it by `split` and `vendor`.

    Raises:
        ProblemsError: for every test set that holds no case.
    """
    parts: list[pd.DataFrame] = []
    problems: list[str] = []
    for name, settings in test_sets.items():
        chosen = cases[cases["dataset"] == settings["dataset"]]
        if "split" in settings:
            chosen = cases_of(chosen, split, settings["split"])
        if "vendor" in settings:
            chosen = chosen[chosen["vendor"] == settings["vendor"]]
        if chosen.empty:
            problems.append(f"{name}: no case matches {dict(settings)}")
        parts.append(pd.DataFrame({"test_set": name, "case": chosen["case"]}))
    if problems:
        raise ProblemsError("test sets without a case; change the study or the data:", problems)
    return pd.concat(parts, ignore_index=True)


def read_split(path: str | Path) -> pd.DataFrame:
    """Read `split.csv`; raises a ProblemsError if a subject stands on both sides."""
    split = pd.read_csv(path, dtype=str, keep_default_na=False)
    check_split(split)
    return split


def cases_of(cases: pd.DataFrame, split: pd.DataFrame, side: str) -> pd.DataFrame:
    """Rows of the case table whose subject is on one side of the split."""
    subjects = split[split["split"] == side][["dataset", "subject"]]
    return cases.merge(subjects, on=["dataset", "subject"])


def read_test_sets(path: str | Path, cases: pd.DataFrame) -> dict[str, list[Case]]:
    """Rows of the case table by test set, from `test_sets.csv`."""
    table = pd.read_csv(path, dtype=str).merge(cases, on="case")
    rows: dict[str, list[Case]] = {}
    for row in table.itertuples(index=False):
        rows.setdefault(str(row.test_set), []).append(cast(Case, row))
    return rows
