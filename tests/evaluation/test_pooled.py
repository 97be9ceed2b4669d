"""Test sets in domain that overlap: no volume counts twice in what is made of all of them."""

import numpy as np
import pandas as pd
import pytest

from cardiouq.apply.card import model_card
from cardiouq.evaluation.conformal import calibration_of, conformal
from cardiouq.evaluation.forest import foretell_dice
from cardiouq.evaluation.pooled import pooled
from cardiouq.evaluation.quality_control import thresholds
from cardiouq.structures import STRUCTURES
from tests.evaluation import test_conformal, test_forest, test_quality_control, test_shift

PART = ["p1", "val1", "p3", "val3", "p4"]
"""Subjects of one site."""


def with_part(rows: pd.DataFrame, of: str, name: str) -> pd.DataFrame:
    """Rows with those of a test set's subjects of one site as another test set before or after."""
    part = rows[(rows["test_set"] == of) & rows["subject"].isin(PART)].assign(test_set=name)
    assert len(part)
    return pd.concat([part, rows] if name < of else [rows, part], ignore_index=True)


def of_others(table: pd.DataFrame, part: str) -> pd.DataFrame:
    return table[table["test_set"] != part].reset_index(drop=True)


@pytest.fixture(params=["north", "west"])
def part(request: pytest.FixtureRequest) -> str:
    """A test set that stands before or after the one that it is a part of."""
    return str(request.param)


def test_rows_of_two_test_sets_are_pooled_once_and_others_never() -> None:
    rows = pd.DataFrame(
        [("val", "a"), ("val", "b"), ("ood", "c"), ("part", "b"), ("part", "c"), ("ood", "a")],
        columns=["test_set", "case"],
    )
    assert pooled(rows, ["val", "part"]).tolist() == [True, True, False, False, True, False]
    assert pooled(rows.iloc[::-1], ["val"]).tolist() == [False, False, False, False, True, True]
    slices = pd.concat([rows.assign(slice=number) for number in range(2)])  # of repeated index
    assert pooled(slices, ["val", "part"]).sum() == 6
    assert not pooled(rows, []).any()


def test_shift_is_told_as_without_a_part(part: str) -> None:
    rows = pd.concat(
        [test_shift.volumes("test", range(10), 0), test_shift.volumes("A", range(20, 30), 1)]
    )
    before = test_shift.detected(rows, in_domain=["test"])
    after = test_shift.detected(with_part(rows, "test", part), in_domain=["test", part])
    pd.testing.assert_frame_equal(before, after.drop(part, level="test_set"))


def test_intervals_are_calibrated_as_without_a_part(part: str) -> None:
    tables = test_conformal.draws(20, seed=6, count=1)
    more = [with_part(table, "val", part) for table in tables]
    whole = zip(conformal(*tables, ["val"]), conformal(*more, ["val", part]), strict=True)
    keys = ["test_set", "subject", "visit", "phase", "quantity", "by", "nominal"]
    for before, after in whole:
        by = [key for key in keys if key in before]
        rows = (of_others(table, part).sort_values(by) for table in (before, after))
        pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in rows))
    columns = ["quantity", "subject", "error"]
    alone, together = (
        calibration_of(*found, [*names]).sort_values(columns, ignore_index=True)
        for found, names in ((tables, ["val"]), (more, ["val", part]))
    )
    pd.testing.assert_frame_equal(alone, together)


def test_a_forest_learns_as_without_a_part(part: str) -> None:
    scores, voxels = test_forest.tables(test_set="of all")
    before = foretell_dice(scores, voxels, ["of all"], 1)
    more = [with_part(table, "of all", part) for table in (scores, voxels)]
    is_other = more[0]["test_set"] != part
    after = foretell_dice(*more, ["of all", part], 1)
    np.testing.assert_array_equal(before, after[is_other])


def test_thresholds_and_card_of_a_model_are_as_without_a_part(part: str) -> None:
    within = np.arange(40) / 4
    assd = np.where(np.isin(within, [1.5, 3, 5, 7]), test_quality_control.POOR_MM, 1.0)
    slices = test_quality_control.slices(assd, within)
    rows = test_quality_control.scores(slices, test_set="test")
    rows = rows.assign(subject="p" + rows["case"].str[-1], estimated_dice=rows["assd_mm"] / 4)
    more = with_part(rows, "test", part)
    like = more[pooled(more, ["test", part])]
    poor = test_quality_control.POOR
    assert thresholds(like, poor) == thresholds(rows, poor) != thresholds(more, poor)
    said = {"label": "U-Net", "structures": [*STRUCTURES], "study": "S", "name": "m"}
    said |= {"licence": "none"}
    training = pd.DataFrame({"dataset": ["a"], "vendor": ["V"], "subject": ["s"]})
    volumes = [table[table["slice"] == 1] for table in (like, rows, more)]
    cards = [model_card(said, training, table, None, "in full") for table in volumes]
    assert cards[0] == cards[1] != cards[2]
