"""Ranks of the methods, with their intervals."""

import pandas as pd

from cardiouq.reporting.tables.ranks import print_ranks
from tests.reporting.tables.summaries import METHODS, TEST_SETS, bold, pairs, texts


def test_ranks_have_intervals_and_the_first_is_bold_where_it_is_told_from_the_other() -> None:
    found = pd.concat(
        [
            pairs(method=method, rank=rank, low=1.0, high=2.0, n_empty=0)
            for method, rank in zip(METHODS, (2, 1), strict=True)
        ]
    )
    told = pairs(method="vanilla", other="swa", difference=-0.1, low=-0.2, high=0.1)
    told.loc[told["metric"] == "dice", "high"] = -0.05
    table = print_ranks(found, told, METHODS, TEST_SETS, "")
    assert texts(table)[0][:2] == ["Vanilla", "2.0 [1.0, 2.0]"]
    assert bold(table) == {(1, 1), (1, 5)}
