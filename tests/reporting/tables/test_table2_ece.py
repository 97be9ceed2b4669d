"""ECE stands beside the paper's."""

import numpy as np
import pytest

from cardiouq.reporting.tables.table2_ece import print_ece
from cardiouq.structures import ALL
from tests.reporting.tables.summaries import METHODS, TEST_SETS, compared, summary, texts


@pytest.mark.parametrize(
    ("published", "columns", "cells"),
    [
        (2.56, ["ours", "paper"] * 2, ["1.50 [1.00, 2.00]", "2.56"] * 2),
        (np.nan, ["ours"] * 2, ["1.50 [1.00, 2.00]"] * 2),
    ],
)
def test_ece_stands_beside_the_paper_s_where_there_is_one(
    published: float, columns: list[str], cells: list[str]
) -> None:
    found = summary("ece_percent", "volume", [ALL], 0.1).assign(published=published)
    told = compared("ece_percent", "volume", [ALL], 0.05, 0.15)
    table = print_ece(found, told, METHODS, TEST_SETS, "")
    assert table.columns == ["Method", *columns, "Empty"]
    assert texts(table)[0] == ["Vanilla", *cells, "2"]
