"""A run's data are known by their content, not by where they lie."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from cardiouq.data.cases import make_case_table
from cardiouq.data.fingerprint import earlier_fingerprint_of, fingerprint_of
from cardiouq.data.plan import Plan
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.split import split_subjects


@pytest.fixture
def data(subjects: Callable[..., pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    cases = subjects(10).assign(image="/here/a.nii.gz", label="/here/b.nii.gz")
    return cases, split_subjects(cases, "acdc", 0.4, 0, seed=2022)


def one_of(data: tuple[pd.DataFrame, pd.DataFrame], side: str) -> str:
    split = data[1]
    return str(split.loc[split["split"] == side, "subject"].iloc[0])


def test_paths_and_order_do_not_count(data: tuple[pd.DataFrame, pd.DataFrame], plan: Plan) -> None:
    cases, split = data
    moved = cases.assign(image="/there/a.nii.gz", label="/there/b.nii.gz")
    expected = fingerprint_of(cases, split, plan, {})
    assert fingerprint_of(moved, split, plan, {}) == expected
    assert fingerprint_of(cases[::-1], split[::-1], plan, {}) == expected


@pytest.mark.parametrize("column", ["image_hash", "label_hash", "spacing_y"])
def test_content_of_training_scans_counts(
    data: tuple[pd.DataFrame, pd.DataFrame], plan: Plan, column: str
) -> None:
    cases, split = data
    changed = cases.copy()
    changed.loc[changed["subject"] == one_of(data, "train"), column] = (
        9 if column == "spacing_y" else "other"
    )
    assert fingerprint_of(changed, split, plan, {}) != fingerprint_of(cases, split, plan, {})


def test_scans_that_are_only_tested_on_do_not_count(
    data: tuple[pd.DataFrame, pd.DataFrame], plan: Plan
) -> None:
    cases, split = data
    changed = cases.copy()
    changed.loc[changed["subject"] == one_of(data, "validation"), "image_hash"] = "other"
    assert fingerprint_of(changed, split, plan, {}) == fingerprint_of(cases, split, plan, {})
    by_selection = {"selection": "validation_nll"}
    selected = [fingerprint_of(table, split, plan, by_selection) for table in (cases, changed)]
    assert selected[0] != selected[1], "weights were selected by them"


def test_split_and_plan_count(data: tuple[pd.DataFrame, pd.DataFrame], plan: Plan) -> None:
    cases, split = data
    other_split = split_subjects(cases, "acdc", 0.4, 0, seed=1)
    other_plan = replace(plan, patch_size=(48, 32))
    fingerprints = {
        fingerprint_of(cases, split, plan, {}),
        fingerprint_of(cases, other_split, plan, {}),
        fingerprint_of(cases, split, other_plan, {}),
    }
    assert len(fingerprints) == 3


def test_an_earlier_version_s_fingerprint_is_of_voxels_as_they_are_stored(
    acdc: Any, plan: Plan
) -> None:
    """Whatever else has changed since in the table of cases; the digits are that version's."""
    for number in range(1, 6):
        acdc.add(number)
    cases = make_case_table({"acdc": DataFolder("acdc", acdc.root)})
    split = split_subjects(cases, "acdc", 0.4, 0, seed=2022)
    assert earlier_fingerprint_of(cases, split, plan) == "48b57ee1edb0"
    assert earlier_fingerprint_of(cases.assign(spacing_x=9.0), split, plan) == "48b57ee1edb0"
    training = cases.index[cases["subject"] == one_of((cases, split), "train")][0]
    cases.loc[training, "image"] = cases["image"].iloc[training - 1]
    assert earlier_fingerprint_of(cases, split, plan) != "48b57ee1edb0"
