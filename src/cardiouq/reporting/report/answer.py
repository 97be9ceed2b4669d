"""Which method to use, and whether to believe it, in words made from a study's numbers."""

import math
from collections.abc import Iterator, Sequence

from cardiouq.evaluation.bootstrap import FEWEST_SUBJECTS
from cardiouq.reporting.captions import in_words
from cardiouq.reporting.report.summary import FIRST, MEASURES, TIED, WINNER, Row, Summary

MOST_NAMED = 5
"""Number of methods that a sentence names; more are counted."""
CALLED = {
    "dice": "Dice",
    "ece_percent": "ECE",
    "nll_nats": "NLL",
    "aurc_estimated_dice": "failure detection (AURC)",
}
"""Metric -> what sentences call it."""


def advise(summary: Summary) -> str:
    """Name the methods that are best, or not told from the best, by all measures or most of them.

    The cheapest of several has the fewest passes and, of these, the fewest iterations.
    """
    if len(summary.rows) == 1:
        return "There is no other method to compare with."
    if summary.few:
        return (
            f"Too few subjects to tell methods apart ({FEWEST_SUBJECTS} at least): the numbers say "
            "what was measured, not which method is better."
        )
    leads = {row: sum(entry.mark != "" for entry in row.entries) for row in summary.rows}
    most = max(leads.values())
    good = [row for row, count in leads.items() if count == most]
    if most < len(MEASURES):
        names = [f"{row.method} (not by {_names(_lacking(row))})" for row in good]
        return (
            "No method is among the best by all measures; choose by the one that matters to you. "
            f"By {most} of {len(MEASURES)}: {_ended(_names(names))}{_cheapest_of(good)}"
        )
    names = [row.method for row in good]
    return f"Among the best by all measures: {_ended(_names(names))}{_cheapest_of(good)}"


def _cheapest_of(good: Sequence[Row]) -> str:
    """A sentence on the cheapest of several methods; nothing of one."""
    if len(good) == 1:
        return ""
    least = min(map(_cost, good))
    passes, iterations = least
    trained = (
        "training that was done elsewhere"
        if iterations == math.inf
        else f"{iterations:,} iterations of training"
    )
    cost = f"{_count(passes, 'pass', 'passes')} of a network a slice and {trained}"
    cheapest = [row.method for row in good if _cost(row) == least]
    if len(cheapest) == 1:
        return f" The cheapest of them is {cheapest[0]}, with {cost}."
    return f" The cheapest of them are {_names(cheapest)}, each with {cost}."


def _cost(row: Row) -> tuple[int, float]:
    """Passes and iterations; what was trained elsewhere may have taken any."""
    return row.passes, math.inf if row.iterations is None else row.iterations


def _lacking(row: Row) -> list[str]:
    """Measures by which a method is told from the best."""
    measured = zip(row.entries, MEASURES, strict=True)
    return [CALLED[block.metric] for entry, block in measured if not entry.mark]


def count_detectors(summary: Summary) -> str:
    """Say how many methods put failures in a better order than chance does."""
    better = sum(row.beats_chance for row in summary.rows)
    return (
        f"{better} of {_count(len(summary.rows), 'method', 'methods')} put the failures in a "
        "better order than chance."
    )


def name_leaders(summary: Summary) -> Iterator[str]:
    """Say for each measure which method is first, and how many cannot be told from it."""
    others = len(summary.rows) - 1
    for column, block in enumerate(MEASURES):
        entries = {row.method: row.entries[column] for row in summary.rows}
        tied = sum(entry.mark == TIED for entry in entries.values())
        for method, entry in entries.items():
            if entry.mark in (FIRST, WINNER):
                told = f"{tied} of {others} others not told from it" if tied else "told from all"
                yield f"{CALLED[block.metric]}: {method}, {entry.value} ({told})"


def _names(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    if more > 1:
        return f"{', '.join(names[:MOST_NAMED])} and {more} more"
    return in_words(names)


def _ended(sentence: str) -> str:
    """A sentence with its full stop, which an abbreviation at its end is already."""
    return f"{sentence.removesuffix('.')}."


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
