"""The summary of a small made-up study: numbers, marks and costs of each method."""

from itertools import product

import pandas as pd

from cardiouq.reporting.report.summary import (
    FIRST,
    GAIN,
    MEASURES,
    TIED,
    WINNER,
    Summary,
    summarise_test_sets,
)

METHODS = {"plain": "Plain", "good": "Good", "best": "Best"}
TEST_SETS = {"val": "Inside", "B": "Outside"}
DOMAINS = {"val": "ID", "B": "OOD"}
LEADS = {"plain": 0.5, "good": 0.58, "best": 0.6}
SUBJECTS = {"val": 20, "B": 4}


def made_up(half_width: float, methods: dict[str, str] = METHODS) -> list[Summary]:
    """Three methods that are best or worst by all measures in the same order."""
    columns = [
        {"test_set": t, "level": b.level, "metric": b.metric, "structure": b.structures[0]}
        | {"n_subjects": SUBJECTS[t], "sign": 1 if b.larger_is_better else -1}
        for t, b in product(TEST_SETS, [*MEASURES, GAIN])
    ]
    numbers = pd.DataFrame(
        {"method": m, "value": LEADS[m]} | c for m, c in product(methods, columns)
    )
    numbers["value"] *= numbers["sign"]
    numbers["low"], numbers["high"] = numbers["value"] - 0.1, numbers["value"] + 0.1
    pairs = [(m, o) for k, m in enumerate(methods) for o in [*methods][k + 1 :]]
    compared = pd.DataFrame(
        {"method": m, "other": o, "difference": c["sign"] * (LEADS[m] - LEADS[o])} | c
        for (m, o), c in product(pairs, columns)
    )
    if len(compared):
        compared["low"] = compared["difference"] - half_width
        compared["high"] = compared["difference"] + half_width
    else:
        compared = pd.DataFrame(columns=["level", "metric", "test_set", "structure"])
    cost = pd.DataFrame({"method": [*methods], "passes": 3, "training_iterations": 720})
    numbers = numbers.assign(n_cases=2 * numbers["n_subjects"], n_empty=0)
    return summarise_test_sets(numbers, compared, cost, methods, TEST_SETS, DOMAINS)


def marks(summary: Summary) -> list[list[str]]:
    return [[entry.mark for entry in row.entries] for row in summary.rows]


def test_each_test_set_has_a_row_per_method_with_intervals_and_costs() -> None:
    inside, outside = made_up(0.05)
    assert (inside.label, inside.domain, inside.n_volumes, inside.n_subjects) == (
        "Inside",
        "ID",
        40,
        20,
    )
    assert [row.method for row in outside.rows] == ["Plain", "Good", "Best"]
    plain = inside.rows[0]
    assert plain.entries[0][:2] == ("0.500", "[0.400, 0.600]")
    assert plain.entries[1][:2] == ("-0.50", "[-0.60, -0.40]")
    assert (plain.passes, plain.iterations) == (3, 720)
    assert plain.beats_chance


def test_the_best_and_those_not_told_from_it_are_marked() -> None:
    assert marks(made_up(0.05)[0]) == [[""] * 4, [TIED] * 4, [FIRST] * 4]
    assert marks(made_up(0.01)[0]) == [[""] * 4, [""] * 4, [WINNER] * 4]


def test_few_subjects_have_no_winner() -> None:
    inside, outside = made_up(0.01)
    assert outside.few and not inside.few
    assert marks(outside) == [[TIED] * 4, [TIED] * 4, [FIRST] * 4]


def test_a_single_method_has_no_mark() -> None:
    assert marks(made_up(0.01, {"plain": "Plain"})[0]) == [[""] * 4]
