"""Clinical quantities of every method."""

import pandas as pd

from cardiouq.evaluation.clinical import UNITS
from cardiouq.reporting.printing import NOTHING
from cardiouq.reporting.tables.clinical import print_clinical
from tests.reporting.tables.summaries import METHODS, TEST_SETS, bold, summary, texts


def test_clinical_quantities_have_bias_error_and_coverage() -> None:
    quantities = list(UNITS)
    found = pd.concat(
        [
            summary(metric, "subject", quantities, less)
            for metric, less in (("bias", 3), ("absolute_error", 1), ("coverage_percent", 1))
        ]
    )
    # no subject of vendor B has both phases
    found = found[found["test_set"] == "val"]
    table = print_clinical(found, METHODS, TEST_SETS, "")
    assert len(table.rows) == len(UNITS) * len(METHODS)
    rows = texts(table)
    assert rows[0] == ["LVEDV (ml)", "Vanilla", "1.5 ± 0.5", "1.5", "2", *[NOTHING] * 3, "1"]
    assert rows[1][1:4] == ["SWA", "-1.5 ± 0.5", "0.5"]
    assert {j for _, j in bold(table)} == {3}  # neither bias nor coverage is ranked
