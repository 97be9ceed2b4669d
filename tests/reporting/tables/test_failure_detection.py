"""Failure detection, and what is printed where there is nothing to detect."""

import pandas as pd
import pytest

from cardiouq.evaluation.distortions import POOLED
from cardiouq.reporting.printing import NOTHING
from cardiouq.reporting.tables.failure_detection import BLOCKS, make
from cardiouq.structures import STRUCTURES
from tests.reporting.tables.summaries import METHODS, TEST_SETS, summary, texts

STUDY = {
    part: {name: {"label": label} for name, label in labels.items()}
    for part, labels in (("methods", METHODS), ("test_sets", TEST_SETS))
}


@pytest.mark.parametrize(("failed", "auroc"), [(0.0, 1.0), (100.0, 0.0)])
def test_auroc_of_none_or_all_is_a_dash_with_the_count(failed: float, auroc: float) -> None:
    """Of Vanilla's four cases, while SWA has failures to tell apart; the rows keep the numbers."""
    found = pd.concat(
        [summary(block.metric, block.level, list(STRUCTURES), 0.7) for block in BLOCKS],
        ignore_index=True,
    )
    of_vanilla = found["method"] == "vanilla"
    found.loc[found["metric"] == "failed_percent", "value"] = 50.0
    found.loc[of_vanilla & (found["metric"] == "failed_percent"), "value"] = failed
    is_auroc = found["metric"].str.startswith("auroc_failure_")
    found.loc[of_vanilla & is_auroc, "value"] = auroc
    none = pd.DataFrame(columns=["level", "metric", "test_set", "structure"])
    rows, printed = make({"summary": found, "comparisons": none}, STUDY, "")
    labels = [block.label for block in BLOCKS]
    first = len(METHODS) * labels.index("AUROC of failure: entropy")
    vanilla, swa = texts(printed)[first : first + 2]
    assert vanilla[2:-1] == [f"{NOTHING} ({failed / 25:.0f} of 4)"] * 6
    assert swa[2:-1] == ["0.80 [1.00, 2.00]"] * 6
    pd.testing.assert_frame_equal(rows, found)


def test_distorted_scans_have_columns_of_their_own() -> None:
    found = pd.concat(
        [summary(block.metric, block.level, list(STRUCTURES), 0.7) for block in BLOCKS],
        ignore_index=True,
    )
    distorted = found[found["test_set"] == "B"].assign(test_set=POOLED, value=0.25)
    none = pd.DataFrame(columns=["level", "metric", "test_set", "structure"])
    tables = {"summary": found, "comparisons": none, "distorted_summary": distorted}
    rows, printed = make(tables, STUDY, "")
    assert printed.groups[-2] == ("All degrees of distortion", len(STRUCTURES))
    aurc = next(row for row in texts(printed) if row[0] == "AURC: entropy without the boundary")
    assert aurc[-4:-1] == ["0.250 [1.000, 2.000]"] * 3
    assert len(rows) == len(found) + len(distorted)
