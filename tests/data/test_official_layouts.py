"""The shipped studies find the cases of their test sets in ACDC and M&Ms as they are released."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cardiouq.data.cases import make_case_table
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.split import select_test_cases, split_subjects
from cardiouq.errors import ProblemsError
from cardiouq.study.study import Study
from tests.paths import CONFIG

WITH_VENDOR_C = ("laptop", "laptop-ng2022", "workstation")
STUDIES = (
    *WITH_VENDOR_C,
    "buddenkotte2023",
    "kushibar2022",
    "ng2022-acdc",
    "ng2022-mnms",
    "zhao2022",
    "zhao2024",
)


@pytest.fixture
def released(acdc: Any, mnms: Any, local_config: dict[str, Any]) -> dict[str, Any]:
    """`config.yaml` with the roots of small data sets, laid out as they are released.

    Labelled scans of M&Ms' vendors C and D are in its parts for validation and testing alone.
    """
    for number in range(20):
        acdc.add(number)
    for number in range(12):
        mnms.add(f"T{number}", "AB"[number % 2])
    for part in ("Validation", "Testing"):
        for vendor in "ABCD":
            mnms.add(f"{part}-{vendor}", vendor, part=part)
    mnms.add("U0", "C", part="Training/Unlabeled")
    return local_config | {"acdc_root": str(acdc.root), "mnms_root": str(mnms.root)}


def subjects_of(name: str, local_config: dict[str, Any]) -> dict[str, list[str]]:
    """Test set -> its subjects, as the rules `list_cases` and `split_subjects` find them."""
    study = Study(name, local_config, CONFIG)
    folders = {
        dataset: DataFolder(**fields | {"root": Path(fields["root"])})
        for dataset, fields in study.data_folders().items()
    }
    cases = make_case_table(folders)
    split = split_subjects(cases, **study["split"], seed=study["seed"])
    tested = select_test_cases(cases, split, study["test_sets"]).merge(cases, on="case")
    by_test_set: pd.Series[Any] = tested.groupby("test_set")["subject"].agg(
        lambda of_test_set: sorted(set(of_test_set))
    )
    return by_test_set.to_dict()


@pytest.mark.parametrize("name", STUDIES)
def test_every_test_set_has_cases_of_the_part_that_the_paper_used(
    name: str, released: dict[str, Any]
) -> None:
    found = subjects_of(name, released)
    assert set(found) == set(Study(name, released, CONFIG)["test_sets"])
    if name in WITH_VENDOR_C:
        assert found.pop("mnms-C") == ["Testing-C", "Validation-C"]
    for subjects in found.values():
        assert all(re.fullmatch(r"T\d+|patient\d+", subject) for subject in subjects)


@pytest.mark.parametrize("name", WITH_VENDOR_C)
def test_a_copy_without_validation_and_testing_may_have_vendor_c_for_training(
    name: str, acdc: Any, mnms: Any, local_config: dict[str, Any]
) -> None:
    for number in range(20):
        acdc.add(number)
    for vendor in "ABC":
        mnms.add(f"T{vendor}", vendor)
    found = subjects_of(
        name, local_config | {"acdc_root": str(acdc.root), "mnms_root": str(mnms.root)}
    )
    assert [found[f"mnms-{vendor}"] for vendor in "ABC"] == [["TA"], ["TB"], ["TC"]]


def test_a_part_that_the_split_needs_is_missed(released: dict[str, Any], mnms: Any) -> None:
    labelled = mnms.root / "Training" / "Labeled"
    labelled.rename(labelled.with_name("elsewhere"))
    with pytest.raises(ProblemsError) as caught:
        subjects_of("laptop", released)
    [problem] = caught.value.problems
    assert "no folders Training/Labeled/<code> found" in problem
