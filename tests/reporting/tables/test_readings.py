"""Which method is the paper's own where several stand for it."""

from typing import Any

import pandas as pd

from cardiouq.reporting.tables.judging import COLUMNS
from tests.reporting.tables.judged import equal_summary, judge, settings, with_t_c


def judge_in_order(study: dict[str, Any], methods: list[str]) -> pd.DataFrame:
    """The verdict on a study whose methods stand in this order; its numbers are the paper's."""
    summary = equal_summary(settings("zhao2022"))
    of_t_c = summary["method"].isin([name.removesuffix("_t_c") for name in methods[-2:]])
    again = summary[of_t_c].assign(method=summary["method"] + "_t_c")
    ordered = study | {"methods": {name: study["methods"][name] for name in methods}}
    verdict = judge(ordered, pd.concat([summary, again], ignore_index=True))
    return verdict.sort_values(COLUMNS, ignore_index=True)


def test_a_method_of_the_paper_s_name_is_its_own_wherever_it_stands() -> None:
    study = with_t_c(settings("zhao2022"))
    methods = list(study["methods"])
    assert [name for name in methods if "reading_of" in study["methods"][name]] == methods[-2:]
    after = judge_in_order(study, methods)
    before = judge_in_order(study, [*methods[-2:], *methods[:-2]])
    pd.testing.assert_frame_equal(before, after)
    assert (after.loc[after["reading"] == "", "verdict"] == "reproduced").all()
