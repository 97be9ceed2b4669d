"""What counts as another setting than a paper's: another value, however it came about."""

from typing import Any

import pytest

from cardiouq.reporting.tables.differing import differing_settings
from cardiouq.reporting.tables.published import find_paper_test_sets
from cardiouq.reporting.tables.verdict import make
from cardiouq.study.schema import complete
from tests.reporting.tables.judged import all_comparisons, equal_summary, settings
from tests.study.changes import set_key

PAPERS = ["zhao2022", "zhao2024", "ng2022", "kushibar2022"]
"""Papers whose numbers stand beside a study's."""


def differences(study: dict[str, Any], paper: dict[str, Any]) -> set[str]:
    """What differs for any method on any of the paper's test sets."""
    row = {"metric": "dice"}
    return {
        difference
        for test_set, theirs in find_paper_test_sets(study).items()
        for difference in differing_settings(
            row | {"test_set": theirs}, list(study["methods"]), test_set, study, paper
        )
    }


@pytest.mark.parametrize("paper", PAPERS)
def test_written_defaults_are_no_difference(paper: str) -> None:
    written, filled = settings(paper), complete(settings(paper))
    assert filled != written
    # a study in which every default is written out
    assert differences(complete(filled), complete(written)) == set()


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        ("recipes.cyclical.deep_supervision", False, "deep_supervision false instead of true"),
        ("test_sets.acdc-val.part", "testing", "test data: part testing instead of training"),
        # left out, it is the default, which is not the paper's
        (
            "recipes.polynomial.augmentation.intensities",
            None,
            "augmentation.intensities true instead of nnunet_code",
        ),
        ("recipes.dropout.dropout.kind", None, "dropout.kind element instead of channel"),
        ("methods.checkpoint_ensemble_multi.select", "best", "select best instead of latest"),
    ],
)
def test_other_value_than_a_default_is_named(place: str, value: object, named: str) -> None:
    study, paper = settings("zhao2022"), settings("zhao2022")
    found = differences(complete(set_key(study, place, value)), complete(paper))
    assert [named in text for text in found] == [True]


def test_study_that_tables_are_told_is_not_compared_with_the_paper_in_it() -> None:
    """Their settings hold the paper's, by which alone the verdict knows them."""
    paper = complete(settings("zhao2022"))
    study = paper | {"paper": paper}
    summary = equal_summary(study)
    tables = {"summary": summary, "comparisons": all_comparisons(summary)}
    verdict, _ = make(tables, study, "A caption.")
    assert set(verdict["verdict"]) == {"reproduced"}
