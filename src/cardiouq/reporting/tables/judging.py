"""Judging whether each published number and ordering claim was reproduced.

A number of ours may stand for a paper's only if everything that it depends on is the paper's own
setting. That is derived by comparing the settings of the study that ran with those of the paper's
study in `config/studies`, so that a study at another budget never claims a reproduction.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.evaluation.bootstrap import FEWEST_SUBJECTS
from cardiouq.reporting.tables.differing import differing_settings
from cardiouq.reporting.tables.published import find_paper_methods
from cardiouq.reporting.tables.spread import KEYS, range_of, range_of_difference
from cardiouq.structures import ALL

SOURCE = ["kind", "paper", "table", "what"]
NUMBER = ["method", "versus", "reading", "test_set", "level", "metric", "structure"]
OUTCOME = [
    *("published", "ours", "low", "high", "least", "greatest"),
    *("n_empty", "agrees", "verdict", "reason"),
]
COLUMNS = [*SOURCE, *NUMBER, *OUTCOME]
YES, NO, UNTOLD = "yes", "no", "cannot be told"
"""Whether ours agrees."""
NOT_COMPARABLE = "not comparable"
VERDICT_OF = {YES: "reproduced", NO: "not reproduced", UNTOLD: UNTOLD}
"""Whether ours agrees -> the verdict on what is comparable."""
VERDICTS = *VERDICT_OF.values(), NOT_COMPARABLE

ANY = "any"
"""Name of a paper's method where a number is given without saying of which method."""
RANDOM_REVIEW = "random_review"
"""Name of what a claim sets a method against that is no method."""
RANDOM_FLAGGED = "flagged_percent_random"
"""Metric of the number of random review, which is of `any` method."""

Settings = Mapping[str, Any]
Row = Mapping[str, Any]
Key = tuple[str, ...]
"""Key of a number: method, test set (ours), level, structure, metric."""

CALLED = {
    "dice": "Dice",
    "ece": "ECE",
    "nll": "NLL",
    "assd": "ASSD",
    "auroc": "AUROC",
    "aula": "AULA",
}
UNMEASURED = dict.fromkeys(("ours", "low", "high", "least", "greatest", "n_empty"), np.nan)
UNITS = {"mm": "mm", "percent": "%", "nats": "nats"}
"""Last word of a metric -> its unit."""


def make_verdict(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    published: pd.DataFrame,
    claims: pd.DataFrame,
    study: Settings,
    paper_study: Settings | None,
    paper_test_sets: Mapping[str, str],
    repeats: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Judge every number and every claim of one paper, a row each.

    Args:
        summary: our numbers; columns method, test_set, level, structure, metric, value, low, high
            (95 % interval over subjects, NaN for a single one), n_subjects and n_empty.
        comparisons: our differences; columns test_set, level, structure, metric, method, other,
            difference (value of method - value of other), low, high, n_subjects and n_empty; a pair
            in either order.
        published: from `published.read_published`.
        claims: from `published.read_claims`.
        study: settings of the study that ran.
        paper_study: settings of the paper's own study; None if there is no such study.
        paper_test_sets: our test set -> the paper's name of it.
        repeats: our numbers of every training; columns method, test_set, level, structure, metric,
            member and value; None if nothing is repeated.

    Returns:
        `COLUMNS`. Of a claim, method is the smaller one, and published and ours are the difference
        smaller - larger. reading is empty, or of methods that are another reading of the paper's
        their recipe, or else their name. least and greatest are over trainings with other seeds, of
        a claim as `range_of_difference` has them, if it is of `FEWEST_SUBJECTS` or more. agrees is
        `yes`, `no`, `cannot be told` or empty where nothing was measured; verdict is `reproduced`,
        `not reproduced`, `cannot be told` or `not comparable`. A number agrees if it lies in our
        interval; a claim if our whole interval is on its side, and does not if it is on the other.
        Without an interval, or of fewer than `FEWEST_SUBJECTS`, nothing can be told.
    """
    judge = _Judge(summary, comparisons, published, study, paper_study, repeats)
    rows = []
    for judged, table, names in (
        (judge.number, published, ["method"]),
        (judge.claim, claims, ["smaller", "larger"]),
    ):
        for record in table.to_dict("records"):
            row = {str(name): value for name, value in record.items()}
            ours: list[str | None] = [
                name for name, paper in paper_test_sets.items() if paper == row["test_set"]
            ]
            readings = judge.readings([row[name] for name in names])
            rows += [
                judged(row, methods, test_set) | {"reading": reading}
                for test_set in ours or [None]
                for methods, reading in readings.items()
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


class _Judge:
    """Judges one row of a paper at a time; arguments as of `make_verdict`."""

    def __init__(
        self,
        summary: pd.DataFrame,
        comparisons: pd.DataFrame,
        published: pd.DataFrame,
        study: Settings,
        paper_study: Settings | None,
        repeats: pd.DataFrame | None,
    ) -> None:
        self.study, self.paper = study, paper_study
        self.paper_methods = find_paper_methods(study)
        values = ["value", "low", "high", "n_subjects", "n_empty"]
        self.measured: dict[Any, Any] = summary.set_index(KEYS)[values].to_dict("index")
        self.differences: dict[Key, dict[Any, Any]] = {}
        for row in comparisons.to_dict("records"):
            where = tuple(row[name] for name in KEYS[1:])
            # 0 - x, as -x would print 0 as -0
            turned = {"difference": 0 - row["difference"], "low": 0 - row["high"]}
            self.differences[(row["method"], row["other"], *where)] = row
            self.differences[(row["other"], row["method"], *where)] = (
                row | turned | {"high": 0 - row["low"]}
            )
        self.trained: dict[Key, list[tuple[str, float]]] = defaultdict(list)
        for row in () if repeats is None else repeats.to_dict("records"):
            key = tuple(row[name] for name in KEYS)
            self.trained[key].append((row["member"], row["value"]))
        paper_keys = published[KEYS].itertuples(index=False, name=None)
        self.published = dict(zip(paper_keys, published["value"], strict=True))
        self.n_subjects = published.groupby("test_set")["n_subjects"].first().to_dict()

    def readings(self, names: Sequence[str]) -> dict[tuple[str, ...], str]:
        """Our methods that stand for those of a paper -> what reading of it they are, if another.

        Methods of one recipe are read together. First is the method of the paper's own name,
        wherever it stands among the study's.
        """
        stand_for = [
            # stable: other readings stay in the study's order
            sorted(
                (ours for ours, paper in self.paper_methods.items() if paper == name),
                key=lambda ours: ours != name,
            )
            or [name]
            for name in names
        ]
        found = {tuple(ours[0] for ours in stand_for): ""}
        for ours in stand_for:
            for method in ours[1:]:
                recipe = self._recipe(method)
                together = tuple(
                    method if others is ours else self._first_of(recipe, others)
                    for others in stand_for
                )
                found.setdefault(together, recipe or method)
        return found

    def _recipe(self, method: str) -> str | None:
        recipe: str | None = self.study["methods"].get(method, {}).get("recipe")
        return recipe

    def _first_of(self, recipe: str | None, methods: Sequence[str]) -> str:
        """The first method of a recipe, or else the first."""
        return next((name for name in methods if self._recipe(name) == recipe), methods[0])

    def number(self, row: Row, methods: Sequence[str], test_set: str | None) -> dict[str, Any]:
        """The verdict on a number."""
        [method] = methods
        missing = self._unmeasured(row, methods, test_set)
        measured, agrees, against = UNMEASURED, "", ""
        if not missing:
            key = _key(row, method, test_set)
            found = self.measured[key]
            measured = _measured(found["value"], found, range_of(self.trained[key]))
            agrees, against = _tell_number(found, row["value"])
        not_comparable = self._not_comparable(row, methods, test_set, row["n_subjects"], missing)
        return _row(row, test_set, not_comparable, agrees, against, measured) | {
            "kind": "number",
            "what": name_number(row["metric"], row["structure"]),
            "method": method,
            "versus": "",
            "published": row["value"],
        }

    def claim(self, row: Row, methods: Sequence[str], test_set: str | None) -> dict[str, Any]:
        """The verdict on a claim."""
        smaller, larger = methods
        missing = self._unmeasured(row, methods, test_set)
        measured, agrees, against = UNMEASURED, "", ""
        found = self.differences.get((smaller, *_key(row, larger, test_set)))
        if not missing and (found is None or np.isnan(found["difference"])):
            missing = ["difference not measured"]
        if found and not missing:
            trained = [self.trained[_key(row, method, test_set)] for method in methods]
            of_one_recipe = self._recipe(smaller) == self._recipe(larger)
            spread = range_of_difference(trained[0], trained[1], of_one_recipe)
            if found["n_subjects"] < FEWEST_SUBJECTS:
                spread = np.nan, np.nan  # of so few no training tells anything
            measured = _measured(found["difference"], found, spread)
            agrees, against = _tell_difference(found, row["strict"])
        not_comparable = self._not_comparable(
            row, methods, test_set, self.n_subjects.get(row["test_set"], np.nan), missing
        )
        theirs = [
            self.published.get(_key(row, method, row["test_set"]), np.nan)
            for method in (row["smaller"], row["larger"])
        ]
        return _row(row, test_set, not_comparable, agrees, against, measured) | {
            "kind": "claim",
            "what": row["text"],
            "method": smaller,
            "versus": larger,
            # beyond the papers' decimals there is only the error of floating point
            "published": round(theirs[0] - theirs[1], 6),
        }

    def _unmeasured(self, row: Row, methods: Sequence[str], test_set: str | None) -> list[str]:
        """Why there is no number of ours."""
        missing = []
        if test_set is None and row["test_set"]:
            missing.append(f"test set {row['test_set']} is not in this study")
        for method in methods:
            if method not in (ANY, RANDOM_REVIEW, *self.study["methods"]):
                ours = self.paper is None or method in self.paper["methods"]
                missing.append(
                    f"method {method} is not in this study" if ours else f"no such method: {method}"
                )
        if not missing:
            found = [self.measured.get(_key(row, method, test_set)) for method in methods]
            if None in found:
                # of a row that leaves its level open, say, no number of ours can be the counterpart
                missing.append("no counterpart" if row["unknown"] else "metric not measured")
            elif any(number and np.isnan(number["value"]) for number in found):
                missing.append("ours is not a number")
        return missing

    def _not_comparable(
        self,
        row: Row,
        methods: Sequence[str],
        test_set: str | None,
        n_subjects: float,
        missing: list[str],
    ) -> list[str]:
        """Why ours, if there is one, does not stand for the paper's."""
        reasons = list(missing)
        if self.paper is None:
            reasons.append("the paper's own setting is not part of this version")
        if row["unknown"]:
            reasons.append(f"unknown: {row['unknown'].replace(';', ',')}")
        if missing or self.paper is None or test_set is None:
            return reasons
        named = [method for method in methods if method != ANY]
        reasons += differing_settings(row, named, test_set, self.study, self.paper)
        if np.isnan(n_subjects):
            return [*reasons, "unknown: number of subjects"]
        for method in methods:
            ours = self.measured[_key(row, method, test_set)]["n_subjects"]
            if ours != n_subjects:
                reasons.append(f"{ours:g} subjects instead of {n_subjects:g}")
        return list(dict.fromkeys(reasons))


def _measured(
    ours: float, found: Mapping[Any, Any], spread: tuple[float, float]
) -> dict[str, float]:
    """Columns of what was measured, of a row of the summary or of the comparisons."""
    ends = {name: found[name] for name in ("low", "high", "n_empty")}
    return {"ours": ours, **ends, **dict(zip(("least", "greatest"), spread, strict=True))}


def _tell_number(found: Mapping[Any, Any], published: float) -> tuple[str, str]:
    """Whether a number of ours agrees, and why not."""
    if few := _too_few(found):
        return UNTOLD, few
    if found["low"] <= published <= found["high"]:
        return YES, ""
    return NO, "the published number is not in our interval"


def _tell_difference(found: Mapping[Any, Any], strict: bool) -> tuple[str, str]:
    """Whether a difference of ours is below 0, or at most 0, and why not."""
    if few := _too_few(found):
        return UNTOLD, few
    if found["high"] < 0 or (found["high"] == 0 and not strict):
        return YES, ""
    if found["low"] > 0:
        return NO, "our interval is on the other side"
    return UNTOLD, "our interval includes no difference"


def _too_few(found: Mapping[Any, Any]) -> str:
    """Why nothing can be told from a number or a difference; "" if something can."""
    if found["n_subjects"] < FEWEST_SUBJECTS:
        return f"{found['n_subjects']:g} subject(s); {FEWEST_SUBJECTS} are needed to tell"
    return "no interval" if np.isnan(found["low"]) else ""


def _row(
    row: Row,
    test_set: str | None,
    not_comparable: list[str],
    agrees: str,
    against: str,
    measured: Mapping[str, float],
) -> dict[str, Any]:
    """What the rows of numbers and claims have in common."""
    return {name: row[name] for name in ("paper", "table", "level", "metric", "structure")} | {
        "test_set": test_set or row["test_set"],
        **measured,
        "agrees": agrees,
        "verdict": NOT_COMPARABLE if not_comparable else VERDICT_OF[agrees],
        "reason": "; ".join(not_comparable) if not_comparable else against,
    }


def name_number(metric: str, structure: str) -> str:
    """What a number is of, in words: `Dice RV`, `ECE (%)`."""
    name, _, last = metric.rpartition("_")
    name, unit = (name, f" ({UNITS[last]})") if last in UNITS else (metric, "")
    text = " ".join(CALLED.get(word, word) for word in name.split("_"))
    return f"{text[0].upper()}{text[1:]}{unit}{'' if structure == ALL else f' {structure}'}"


def _key(row: Row, method: str, test_set: str | None) -> Key:
    of_random = method == RANDOM_REVIEW
    method, metric = (ANY, RANDOM_FLAGGED) if of_random else (method, row["metric"])
    return method, test_set or "", row["level"], row["structure"], metric
