"""Clinical quantities of every method."""

import pandas as pd

from cardiouq.evaluation.clinical import UNITS
from cardiouq.reporting.printing import NOTHING
from cardiouq.reporting.tables.clinical import make, print_clinical
from tests.reporting.tables.summaries import METHODS, TEST_SETS, bold, summary, texts


def test_clinical_quantities_have_bias_error_score_and_coverage() -> None:
    quantities = list(UNITS)
    found = pd.concat(
        [
            summary(metric, "subject", quantities, less)
            for metric, less in (
                ("bias", 3),
                ("absolute_error", 1),
                ("crps", 1),
                ("coverage_percent", 1),
            )
        ]
    )
    # no subject of vendor B has both phases
    found = found[found["test_set"] == "val"]
    table = print_clinical(found, METHODS, TEST_SETS, "")
    assert len(table.rows) == len(UNITS) * len(METHODS)
    rows = texts(table)
    error = "1.5 [1.0, 2.0]"
    assert rows[0] == ["LVEDV (ml)", "Vanilla", "1.5 ± 0.5", error, "1.5", "2", *[NOTHING] * 4, "1"]
    assert rows[1][1:4] == ["SWA", "-1.5 ± 0.5", "0.5 [1.0, 2.0]"]
    assert bold(table) == set()  # nothing is compared


def test_coverage_by_one_sample_is_no_number() -> None:
    """SWA's intervals have no width."""
    metrics = {"bias": 0, "absolute_error": 0, "crps": 0, "coverage_percent": 0}
    metrics["interval_width"] = 1.5
    found = pd.concat([summary(m, "subject", list(UNITS), less) for m, less in metrics.items()])
    rows = texts(print_clinical(found, METHODS, TEST_SETS, ""))
    assert [row[5] for row in rows[:2]] == ["2", NOTHING]


def test_a_table_without_quantities_says_why() -> None:
    none = summary("dice", "volume", ["RV"], 0)
    study = {
        part: {name: {"label": label} for name, label in labels.items()}
        for part, labels in (("methods", METHODS), ("test_sets", TEST_SETS))
    }
    _, printed = make({"summary": none}, study, "Clinical.")
    assert printed.caption == (
        "Clinical. No subject has a case at ED and one at ES, so there is none."
    )
