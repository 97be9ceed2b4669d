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


@pytest.mark.parametrize("unlimited", [["RV"], list(STRUCTURES)], ids=["one", "all"])
def test_a_structure_without_a_limit_of_volumes_has_dashes(unlimited: list[str]) -> None:
    """The evaluation has no rows of it, nor are any of them made up for machines."""
    found = pd.concat(
        [summary(block.metric, block.level, list(STRUCTURES), 0.7) for block in BLOCKS],
        ignore_index=True,
    )
    of_failure = found["metric"].str.match("failed_percent|auroc_failure_")
    found = found[~(of_failure & found["structure"].isin(unlimited))]
    none = pd.DataFrame(columns=["level", "metric", "test_set", "structure"])
    rows, printed = make({"summary": found, "comparisons": none}, STUDY, "")
    lacking = [structure in unlimited for structure in (*STRUCTURES, *STRUCTURES)]
    table = texts(printed)
    for start, block in zip(range(0, len(table), len(METHODS)), BLOCKS, strict=True):
        is_failure = block.metric == "failed_percent" or block.metric.startswith("auroc_failure_")
        for row in table[start : start + len(METHODS)]:
            dashes = [text == NOTHING for text in row[2:-1]]
            assert dashes == (lacking if is_failure else [False] * len(lacking))
            assert int(row[-1]) == len(lacking) - sum(dashes)  # one case of each lacks it
    assert len(rows) == len(found)


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
