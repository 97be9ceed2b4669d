"""The split of subjects into training, validation and test, folds, and test sets' cases."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cardiouq.data.readers.found import TRAINING
from cardiouq.data.readers.scans import Case
from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.files.tables import add_columns, read_rows

LEFT_OUT = "left out"
"""Side of a subject whose image is in a test set of its own, as ACDC's patient055 is patient118."""
NARROWING = ("dataset", "part", "split", "vendor", "where")
"""Settings of a test set that its cases depend on."""


def split_subjects(
    cases: pd.DataFrame,
    dataset: str,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> pd.DataFrame:
    """Assign a data set's training subjects to `train`, `validation` or `test`, by pathology.

    Subjects with an image in common (some patients of ACDC are copies) form one group that stays on
    one side; if another part or data set has the image too, or another part the subject, they are
    left out. The order of groups is that of a hash of seed and subject, so the split is the same on
    every platform and does not depend on the order of rows.

    Args:
        validation_fraction: share of each pathology's subjects held out.
        test_fraction: share of each pathology's subjects held out from validation too.

    Returns:
        Columns dataset, subject, pathology, split; one row per subject, sorted by subject.
    """
    is_own = (cases["dataset"] == dataset) & (cases["part"] == TRAINING)
    own, others = cases[is_own], cases[~is_own]
    members_of = _members(own)
    is_elsewhere = own["image_identity"].isin(others["image_identity"])
    is_elsewhere |= own["subject"].isin(others.loc[others["dataset"] == dataset, "subject"])
    copied = set(own.loc[is_elsewhere, "subject"])
    left_out = {other for subject in copied for other in members_of[subject]}
    all_subjects = own.drop_duplicates("subject").set_index("subject").sort_index()
    subjects = all_subjects[~all_subjects.index.isin(left_out)]
    side = dict.fromkeys(subjects.index, "train") | dict.fromkeys(left_out, LEFT_OUT)
    for _, stratum in subjects.groupby("pathology"):
        alike = set(stratum.index)
        quotas = {
            "validation": round(len(stratum) * validation_fraction),
            "test": round(len(stratum) * test_fraction),
        }
        for group in _in_order(members_of, stratum.index, seed):
            for name, quota in quotas.items():
                if group <= alike and len(group) <= quota:
                    side |= dict.fromkeys(group, name)
                    quotas[name] -= len(group)
                    break
    split = all_subjects.reset_index()[["dataset", "subject", "pathology"]]
    split["split"] = [side[subject] for subject in split["subject"]]
    sides = {"train", "validation"} | ({"test"} if test_fraction else set())
    if not sides <= set(split["split"]):
        out = (
            f"{len(left_out)} are left out, as a test set has the same scans; " if left_out else ""
        )
        raise CardiouqError(
            f"the split of {len(split)} subject(s) leaves no one for "
            f"{', '.join(sorted(sides - set(split['split'])))}; {out}expected subjects in all of "
            f"{sorted(sides)} with validation_fraction {validation_fraction} and test_fraction "
            f"{test_fraction}"
        )
    return split


def hold_out(
    cases: pd.DataFrame, split: pd.DataFrame, fold: int | None, folds: int | None, seed: int
) -> pd.DataFrame:
    """Make a fold's training subjects the `validation` of one run; without a fold, change nothing.

    The split's own validation subjects are left out then.

    The training subjects are dealt out to the folds by pathology; copies of a subject are one.

    Raises:
        CardiouqError: if there are fewer subjects than folds.
    """
    if fold is None or folds is None:
        return split
    training = split[split["split"] == "train"]
    members_of = _members(cases_of(cases, split, "train"))
    dealt: list[set[str]] = [set() for _ in range(folds)]
    seen: set[str] = set()
    for _, stratum in training.groupby("pathology"):
        for group in _in_order(members_of, stratum["subject"], seed):
            if not group & seen:
                dealt[min(range(folds), key=lambda index: len(dealt[index]))] |= group
                seen |= group
    if not all(dealt):
        raise CardiouqError(
            f"{len(training)} training subject(s) cannot be divided into {folds} folds; set fewer "
            "`folds`, or train on more subjects"
        )
    return training.assign(
        split=["validation" if s in dealt[fold] else "train" for s in training["subject"]]
    )


def _in_order(
    members_of: dict[str, set[str]], subjects: Iterable[str], seed: int
) -> list[set[str]]:
    """The groups of some subjects, in the order of a hash of seed and name."""
    return [
        members_of[name]
        for name in sorted(
            {min(members_of[subject]) for subject in subjects},
            key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).hexdigest(),
        )
    ]


def _members(cases: pd.DataFrame) -> dict[str, set[str]]:
    """Subject -> all subjects of its group; subjects linked by equal images share a group."""
    images, _ = pd.factorize(cases["image_identity"])
    subjects, names = pd.factorize(cases["subject"])
    size = len(cases)
    links = coo_array((np.ones(size), (subjects, size + images)), shape=(2 * size, 2 * size))
    _, group_of = connected_components(links, directed=False)
    groups: dict[int, set[str]] = defaultdict(set)
    for name, group in zip(names, group_of, strict=False):
        groups[group].add(name)
    return {name: groups[group] for name, group in zip(names, group_of, strict=False)}


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

    A test set names its data set and its `part` or several, and may narrow them by `split`,
    `vendor`, and any columns of the case table (`where`).

    Raises:
        ProblemsError: for every test set that holds no case, or a visit's cases of several parts.
    """
    parts: list[pd.DataFrame] = []
    problems: list[str] = []
    for name, settings in test_sets.items():
        of_dataset = cases[cases["dataset"] == settings["dataset"]]
        chosen = of_dataset[of_dataset["part"].isin(parts_of(settings))]
        if "split" in settings:
            chosen = cases_of(chosen, split, settings["split"])
        if "vendor" in settings:
            chosen = chosen[chosen["vendor"] == settings["vendor"]]
        for column, value in settings["where"].items():
            if column not in chosen:
                problems.append(f"{name}.where: no column {column!r} in {sorted(chosen)}")
                break
            chosen = chosen[chosen[column].astype(str) == value]  # slices are a number
        if chosen.empty:
            elsewhere = _parts_with_cases(of_dataset, settings)
            problems.append(f"{name}: no case matches {dict(settings)}{elsewhere}")
        if several := _of_several_parts(chosen):
            problems.append(f"{name}: {several}")
        parts.append(pd.DataFrame({"test_set": name, "case": chosen["case"]}))
    if problems:
        raise ProblemsError("test sets that cannot be; change the study or the data:", problems)
    return pd.concat(parts, ignore_index=True)


def _of_several_parts(cases: pd.DataFrame) -> str:
    """The problem, if there is any, of visits whose cases are in several parts: an ejection
    fraction would be read off two scans."""
    of_phases = cases[cases["phase"] != ""]
    parts = of_phases.groupby(["subject", "visit"])["part"].unique()
    several = parts[parts.map(len) > 1]
    if several.empty:
        return ""
    (subject, visit), of_first = several.index[0], sorted(several.iloc[0])
    return (
        f"{len(several)} subject(s) have cases of one visit in several parts, as {subject}"
        f"{f', visit {visit}' if visit else ''} in {of_first}; expected one part. Make a test set "
        "of each part, or tell the visits apart (`visit`)"
    )


def chosen_by(test_set: Mapping[str, Any]) -> dict[str, Any]:
    """What decides which cases a test set has; by another label they are not predicted anew."""
    return {key: value for key, value in test_set.items() if key in NARROWING}


def parts_of(test_set: Mapping[str, Any]) -> list[str]:
    """The parts of its data set whose cases a test set may have."""
    part: str | list[str] = test_set["part"]
    return [part] if isinstance(part, str) else part


def _parts_with_cases(of_dataset: pd.DataFrame, test_set: Mapping[str, Any]) -> str:
    """Of a test set whose parts lack its vendor, or are empty: which parts are better."""
    alike, of_whom = of_dataset, "the data set"
    if "vendor" in test_set:
        alike = of_dataset[of_dataset["vendor"] == test_set["vendor"]]
        of_whom = f"vendor {test_set['vendor']!r}"
    found, read = (sorted(set(table["part"])) for table in (alike, of_dataset))
    if set(found) & set(parts_of(test_set)):  # it is narrowed too far by something else
        return ""
    if found:
        return f"; the cases of {of_whom} are in {found}, set `part` to these"
    return (
        f"; {of_whom} has none in {read}, the parts that were read; `part` may name others that "
        "the layout has (docs/data.md)"
    )


def read_split(path: str | Path) -> pd.DataFrame:
    """Read `split.csv`; raises a ProblemsError if a subject stands on both sides."""
    split = read_rows(path, numbers={})
    check_split(split)
    return split


def cases_of(cases: pd.DataFrame, split: pd.DataFrame, side: str) -> pd.DataFrame:
    """Rows of the case table whose subject is on one side of the split."""
    subjects = split[split["split"] == side][["dataset", "subject"]]
    return cases.merge(subjects, on=["dataset", "subject"])


def read_test_set_table(*paths: str | Path) -> pd.DataFrame:
    """Read tables of test_set and case as one."""
    return pd.concat([read_rows(path, numbers={}) for path in paths], ignore_index=True)


def read_test_sets(paths: Iterable[str | Path], cases: pd.DataFrame) -> dict[str, list[Case]]:
    """Rows of the case table by test set, from tables of test_set and case."""
    table = add_columns(read_test_set_table(*paths), cases, ["case"], "cases.csv")
    rows: dict[str, list[Case]] = {}
    for row in table.itertuples(index=False):
        rows.setdefault(str(row.test_set), []).append(cast(Case, row))
    return rows
