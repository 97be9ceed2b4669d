"""The answer in words, and the verdict in counts."""

import pytest

from cardiouq.reporting.report.answer import advise, count_detectors, name_leaders
from cardiouq.reporting.report.summary import FIRST, TIED, WINNER, Entry, Row, Summary


def row(
    method: str,
    *marks: str,
    passes: int = 1,
    iterations: int | None = 1440,
    beats_chance: bool = True,
) -> Row:
    entries = tuple(Entry("0.5", "[0.4, 0.6]", mark) for mark in marks)
    return Row(method, entries, passes, iterations, beats_chance)


def summary(*rows: Row, n_subjects: int = 20) -> Summary:
    return Summary("Inside", "ID", 2 * n_subjects, n_subjects, list(rows))


ALL = row("A", TIED, TIED, FIRST, TIED, passes=5)
CHEAP = row("B", FIRST, FIRST, TIED, TIED)
SOME = row("C", TIED, "", TIED, FIRST)
NONE = row("D", "", "", "", "")


def test_methods_that_are_among_the_best_by_all_are_named_and_the_cheapest_of_them() -> None:
    assert advise(summary(ALL, CHEAP, SOME, NONE)) == (
        "Among the best by all measures: A and B. The cheapest of them is B, with 1 pass of a "
        "network a slice and 1,440 iterations of training."
    )
    assert advise(summary(ALL, SOME)) == "Among the best by all measures: A."
    ensemble = row("Deep Ens.", TIED, TIED, FIRST, TIED)
    assert advise(summary(ensemble, SOME)) == "Among the best by all measures: Deep Ens."


def test_all_that_are_as_cheap_are_named() -> None:
    same, dearer = row("A", TIED, TIED, FIRST, TIED), row("E", *[TIED] * 4, iterations=1441)
    assert advise(summary(ALL, same, CHEAP, dearer)).endswith(
        "The cheapest of them are A and B, each with 1 pass of a network a slice and 1,440 "
        "iterations of training."
    )


def test_what_was_trained_elsewhere_is_the_cheapest_by_its_passes_alone() -> None:
    elsewhere = row("F", FIRST, FIRST, TIED, TIED, iterations=None)
    assert "The cheapest of them is B" in advise(summary(elsewhere, CHEAP))
    assert advise(summary(ALL, elsewhere)).endswith(
        "The cheapest of them is F, with 1 pass of a network a slice and training that was done "
        "elsewhere."
    )


def test_without_such_a_method_those_by_most_measures_are_named() -> None:
    other = row("E", WINNER, TIED, "", TIED)
    assert advise(summary(SOME, other, NONE)).endswith(
        "By 3 of 4: C (not by ECE) and E (not by NLL). The cheapest of them are C and E, each with "
        "1 pass of a network a slice and 1,440 iterations of training."
    )


def test_many_methods_are_counted() -> None:
    many = [row(f"M{k}", TIED, TIED, TIED, TIED) for k in range(9)]
    assert "M0, M1, M2, M3, M4 and 4 more." in advise(summary(*many))


@pytest.mark.parametrize(
    ("told", "rows", "n_subjects"), [("Too few subjects", [ALL, CHEAP], 5), ("no other", [ALL], 20)]
)
def test_there_is_no_advice_on_few_subjects_or_one_method(
    told: str, rows: list[Row], n_subjects: int
) -> None:
    advice = advise(summary(*rows, n_subjects=n_subjects))
    assert told in advice and "cheapest" not in advice


def test_leaders_are_named_with_how_many_are_not_told_from_them() -> None:
    rows = [row("E", FIRST, "", "", ""), row("F", "", WINNER, TIED, FIRST)]
    found = list(name_leaders(summary(*rows, row("C", TIED, "", FIRST, TIED))))
    assert found == [
        "Dice: E, 0.5 (1 of 2 others not told from it)",
        "ECE: F, 0.5 (told from all)",
        "NLL: C, 0.5 (1 of 2 others not told from it)",
        "failure detection (AURC): F, 0.5 (1 of 2 others not told from it)",
    ]


def test_methods_that_find_failures_better_than_chance_are_counted() -> None:
    found = count_detectors(summary(ALL, row("E", "", "", "", "", beats_chance=False)))
    assert found == "1 of 2 methods put the failures in a better order than chance."
