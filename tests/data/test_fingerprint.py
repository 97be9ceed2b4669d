"""A run's data are known by their content, not by where they lie."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from cardiouq.data.fingerprint import fingerprint_of
from cardiouq.data.plan import Plan
from cardiouq.data.split import split_subjects


@pytest.fixture
def data(subjects: Callable[..., pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    cases = subjects(10).assign(image="/here/a.nii.gz", label="/here/b.nii.gz")
    return cases, split_subjects(cases, "acdc", 0.4, seed=2022)


def one_of(data: tuple[pd.DataFrame, pd.DataFrame], side: str) -> str:
    split = data[1]
    return str(split.loc[split["split"] == side, "subject"].iloc[0])


def test_paths_and_order_do_not_count(data: tuple[pd.DataFrame, pd.DataFrame], plan: Plan) -> None:
    cases, split = data
    moved = cases.assign(image="/there/a.nii.gz", label="/there/b.nii.gz")
    expected = fingerprint_of(cases, split, plan)
    assert fingerprint_of(moved, split, plan) == expected
    assert fingerprint_of(cases[::-1], split[::-1], plan) == expected


@pytest.mark.parametrize("column", ["image_hash", "label_hash", "spacing_y"])
def test_content_of_training_scans_counts(
    data: tuple[pd.DataFrame, pd.DataFrame], plan: Plan, column: str
) -> None:
    cases, split = data
    changed = cases.copy()
    changed.loc[changed["subject"] == one_of(data, "train"), column] = (
        9 if column == "spacing_y" else "other"
    )
    assert fingerprint_of(changed, split, plan) != fingerprint_of(cases, split, plan)


def test_scans_that_are_only_tested_on_do_not_count(
    data: tuple[pd.DataFrame, pd.DataFrame], plan: Plan
) -> None:
    cases, split = data
    changed = cases.copy()
    changed.loc[changed["subject"] == one_of(data, "validation"), "image_hash"] = "other"
    assert fingerprint_of(changed, split, plan) == fingerprint_of(cases, split, plan)


def test_split_and_plan_count(data: tuple[pd.DataFrame, pd.DataFrame], plan: Plan) -> None:
    cases, split = data
    other_split = split_subjects(cases, "acdc", 0.4, seed=1)
    other_plan = replace(plan, patch_size=(48, 32))
    fingerprints = {
        fingerprint_of(cases, split, plan),
        fingerprint_of(cases, other_split, plan),
        fingerprint_of(cases, split, other_plan),
    }
    assert len(fingerprints) == 3
