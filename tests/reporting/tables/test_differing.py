"""What a study leaves to its default, and the paper's own study does not, is a difference."""

import pytest

from cardiouq.reporting.tables.differing import differing_settings
from tests.reporting.tables.judged import settings
from tests.study.changes import set_key

ROW = {"metric": "dice", "test_set": "acdc-val"}


@pytest.mark.parametrize(
    ("method", "place", "reason"),
    [
        (
            "vanilla",
            "recipes.polynomial.augmentation.intensities",
            "recipe polynomial: augmentation.intensities not set instead of nnunet_code",
        ),
        (
            "mc_dropout",
            "recipes.dropout.dropout.kind",
            "recipe dropout: dropout.kind not set instead of channel",
        ),
    ],
)
def test_a_default_that_is_not_the_paper_s_is_named(method: str, place: str, reason: str) -> None:
    ours = set_key(settings("zhao2022"), place, None)
    found = differing_settings(ROW, [method], "acdc-val", ours, settings("zhao2022"))
    assert list(found) == [reason]
