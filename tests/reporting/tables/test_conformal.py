"""Coverage and width of conformal intervals of every method."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from cardiouq.evaluation.conformal import LEVELS
from cardiouq.reporting.printing import NOTHING, to_latex
from cardiouq.reporting.tables.conformal import make, print_conformal
from tests.reporting.tables.summaries import METHODS, TEST_SETS, bold, texts


@pytest.fixture
def coverage() -> pd.DataFrame:
    """At each level Vanilla has the width 20 and SWA 10, but on vendor B SWA covers too few; for
    95 % there are too few subjects."""
    quantities = {"LVEF": "%", "Dice RV": "", "Margin LV": "mm", "all": ""}
    rows = []
    for by in ("spread", "nothing"):
        for method, test_set, (quantity, unit), level in product(
            METHODS, TEST_SETS, quantities.items(), LEVELS
        ):
            covers_too_few = (method, test_set) == ("swa", "B")
            width = 20.0 if method == "vanilla" else 10.0
            row = {"method": method, "test_set": test_set, "quantity": quantity, "unit": unit}
            row |= {"by": by, "nominal": level, "n_empty": 1}
            row |= {"coverage": 0.25 if covers_too_few else level, "valid": not covers_too_few}
            row["width"] = np.inf if level == 0.95 else width
            rows.append(row)
    return pd.DataFrame(rows)


def test_coverage_and_width_stand_in_a_cell_and_too_little_is_starred(
    coverage: pd.DataFrame,
) -> None:
    table = print_conformal(coverage, METHODS, TEST_SETS, "")
    assert table.columns == ["Quantity", "Method", *(["80%", "90%", "95%"] * 2), "Empty"]
    rows = texts(table)
    labels = [row[0] for row in rows[::2]]
    assert labels == ["All intervals", "All, of one width", "LVEF (%)", "Dice RV", "Margin LV (mm)"]
    wide = ["80 (20.0)", "90 (20.0)", "95 (\N{INFINITY})"]
    narrow = ["80 (10.0)", "90 (10.0)", "95 (\N{INFINITY})"]
    too_few = ["25* (10.0)", "25* (10.0)", "25* (\N{INFINITY})"]
    assert rows[4] == ["LVEF (%)", "Vanilla", *wide, *wide, "2"]
    assert rows[5] == ["", "SWA", *narrow, *too_few, "2"]
    assert rows[0][2] == "80 (20.00)" and rows[6][2] == "80 (20.000)"
    assert r"95 ($\infty$)" in to_latex(table)


def test_nothing_is_bold_as_widths_have_no_intervals(coverage: pd.DataFrame) -> None:
    assert not bold(print_conformal(coverage, METHODS, TEST_SETS, ""))


def test_too_few_subjects_have_a_question_mark(coverage: pd.DataFrame) -> None:
    rows = coverage.assign(valid=coverage["valid"].astype(float))
    rows.loc[rows["test_set"] == "B", "valid"] = np.nan
    table = print_conformal(rows, METHODS, TEST_SETS, "")
    assert texts(table)[5][5:8] == ["25? (10.0)", "25? (10.0)", "25? (\N{INFINITY})"]


def test_distorted_scans_are_not_printed_and_what_a_test_set_lacks_is_left_out(
    coverage: pd.DataFrame,
) -> None:
    distorted = coverage.assign(test_set="val+noise-1", n_empty=100)
    lacking = coverage[(coverage["test_set"] == "val") | (coverage["quantity"] != "LVEF")]
    study = {
        part: {key: {"label": label} for key, label in labels.items()}
        for part, labels in (("methods", METHODS), ("test_sets", TEST_SETS))
    }
    rows, table = make({"conformal": pd.concat([lacking, distorted])}, study, "")
    assert set(rows["test_set"]) == set(TEST_SETS)
    assert texts(table)[4][5:] == [*[NOTHING] * 3, "1"]
