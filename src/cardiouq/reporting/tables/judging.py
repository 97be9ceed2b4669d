"""Judging whether each published number and ordering claim was reproduced.

A number of ours may stand for a paper's only if everything that it depends on is the paper's own
setting. That is derived by comparing the settings of the study that ran with those of the paper's
study in `config/studies`, so that a study at another budget never claims a reproduction.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.reporting.tables.published import find_paper_test_sets
from cardiouq.structures import ALL

SOURCE = ["kind", "paper", "table", "what"]
NUMBER = ["method", "versus", "test_set", "level", "metric", "structure"]
OUTCOME = ["published", "ours", "low", "high", "n_empty", "agrees", "verdict", "reason"]
COLUMNS = [*SOURCE, *NUMBER, *OUTCOME]
REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
NOT_COMPARABLE = "not comparable"
VERDICTS = REPRODUCED, NOT_REPRODUCED, NOT_COMPARABLE

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

COMPARED_BY_ROW = {"datasets", "split", "recipes", "methods", "test_sets", "evaluation"}
"""Blocks of a study of which each row depends on a part only."""

NO_NUMBER_DEPENDS_ON = {"title", "note", "seed", "phantom", "reporting", "distortions"}
"""Blocks that matter to no number, or by other blocks; no paper states its seed."""

EVALUATION_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("dice", "hausdorff_mm", "nll_nats", "brier"), ("bootstrap",)),
    "ece_percent": ("ece", "bootstrap"),
    "assd_mm": ("surface", "bootstrap"),
}
"""Metric -> parts of `evaluation` that it and its interval depend on; others depend on all."""

CALLED = {
    "dice": "Dice",
    "ece": "ECE",
    "nll": "NLL",
    "assd": "ASSD",
    "auroc": "AUROC",
    "aula": "AULA",
}
UNITS = {"mm": "mm", "percent": "%", "nats": "nats"}
"""Last word of a metric -> its unit."""

NAMED_DIFFERENCES = 3
"""Number of differing settings of a block that are named; more are counted."""


def make_verdict(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    published: pd.DataFrame,
    claims: pd.DataFrame,
    study: Settings,
    paper_study: Settings | None,
    paper_test_sets: Mapping[str, str],
) -> pd.DataFrame:
    """Judge every number and every claim of one paper, a row each.

    Args:
        summary: our numbers; columns method, test_set, level, structure, metric, value, low, high
            (95 % interval over subjects, NaN for a single one), n_subjects and n_empty.
        comparisons: our differences; columns test_set, level, structure, metric, method, other,
            difference (value of method - value of other), low, high and n_empty; a pair in either
            order.
        published: from `published.read_published`.
        claims: from `published.read_claims`.
        study: settings of the study that ran.
        paper_study: settings of the paper's own study; None if there is no such study.
        paper_test_sets: our test set -> the paper's name of it.

    Returns:
        `COLUMNS`. Of a claim, method is the smaller one, and published and ours are the difference
        smaller - larger. agrees is `yes`, `no` or empty where nothing was measured; verdict is
        `reproduced`, `not reproduced` or `not comparable`. A number agrees if it lies in our
        interval. A strict claim is reproduced only if our whole interval is on its side.
    """
    judge = _Judge(summary, comparisons, published, study, paper_study)
    rows = []
    for judged, table in ((judge.number, published), (judge.claim, claims)):
        for record in table.to_dict("records"):
            row = {str(name): value for name, value in record.items()}
            ours = [name for name, paper in paper_test_sets.items() if paper == row["test_set"]]
            rows += [judged(row, name) for name in ours] if ours else [judged(row, None)]
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
    ) -> None:
        self.study, self.paper = study, paper_study
        keys = ["method", "test_set", "level", "structure", "metric"]
        values = ["value", "low", "high", "n_subjects", "n_empty"]
        self.measured: dict[Any, Any] = summary.set_index(keys)[values].to_dict("index")
        self.differences: dict[Key, tuple[float, float, float, float]] = {}
        for row in comparisons.to_dict("records"):
            where = tuple(row[name] for name in keys[1:])
            difference, low, high = row["difference"], row["low"], row["high"]
            n_empty = row["n_empty"]
            self.differences[(row["method"], row["other"], *where)] = difference, low, high, n_empty
            # 0 - x, as -x would print 0 as -0
            turned = 0 - difference, 0 - high, 0 - low, n_empty
            self.differences[(row["other"], row["method"], *where)] = turned
        paper_keys = published[keys].itertuples(index=False, name=None)
        self.published = dict(zip(paper_keys, published["value"], strict=True))
        self.n_subjects = published.groupby("test_set")["n_subjects"].first().to_dict()

    def number(self, row: Row, test_set: str | None) -> dict[str, Any]:
        """The verdict on a number."""
        missing = self._unmeasured(row, [row["method"]], test_set)
        ours = low = high = n_empty = np.nan
        agrees = False
        if not missing:
            found = self.measured[_key(row, row["method"], test_set)]
            ours, low, high = found["value"], found["low"], found["high"]
            n_empty = found["n_empty"]
            if np.isnan(low):
                agrees = f"{ours:.3f}" == f"{row['value']:.3f}"
            else:
                agrees = low <= row["value"] <= high
        not_comparable = self._not_comparable(
            row, [row["method"]], test_set, row["n_subjects"], missing
        )
        against = "" if agrees else "the published number is not in our interval"
        return _row(row, test_set, not_comparable, against) | {
            "kind": "number",
            "what": _name_number(row["metric"], row["structure"]),
            "method": row["method"],
            "versus": "",
            "published": row["value"],
            "ours": ours,
            "low": low,
            "high": high,
            "n_empty": n_empty,
            "agrees": "" if missing else _yes(agrees),
        }

    def claim(self, row: Row, test_set: str | None) -> dict[str, Any]:
        """The verdict on a claim."""
        pair = smaller, larger = row["smaller"], row["larger"]
        missing = self._unmeasured(row, pair, test_set)
        ours = low = high = n_empty = np.nan
        if not missing:
            key = (smaller, *_key(row, larger, test_set))
            ours, low, high, n_empty = self.differences.get(key, (np.nan,) * 4)
            if np.isnan(ours):
                missing = ["difference not measured"]
        agrees = ours < 0 if row["strict"] else ours <= 0
        against = "" if agrees else "our difference is on the other side"
        if row["strict"] and low <= 0 <= high:
            against = "interval includes no difference"
        elif row["strict"] and np.isnan(low):
            against = "no interval"
        not_comparable = self._not_comparable(
            row, pair, test_set, self.n_subjects.get(row["test_set"], np.nan), missing
        )
        theirs = [self.published.get(_key(row, method, row["test_set"]), np.nan) for method in pair]
        return _row(row, test_set, not_comparable, against) | {
            "kind": "claim",
            "what": row["text"],
            "method": smaller,
            "versus": larger,
            # beyond the papers' decimals there is only the error of floating point
            "published": round(theirs[0] - theirs[1], 6),
            "ours": ours,
            "low": low,
            "high": high,
            "n_empty": n_empty,
            "agrees": "" if missing else _yes(agrees),
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
        reasons += _differing_settings(row, methods, test_set, self.study, self.paper)
        if np.isnan(n_subjects):
            return [*reasons, "unknown: number of subjects"]
        for method in methods:
            ours = self.measured[_key(row, method, test_set)]["n_subjects"]
            if ours != n_subjects:
                reasons.append(f"{ours:g} subjects instead of {n_subjects:g}")
        return list(dict.fromkeys(reasons))


def _row(row: Row, test_set: str | None, not_comparable: list[str], against: str) -> dict[str, Any]:
    """What the rows of numbers and claims have in common."""
    verdict = NOT_COMPARABLE if not_comparable else NOT_REPRODUCED if against else REPRODUCED
    return {name: row[name] for name in ("paper", "table", "level", "metric", "structure")} | {
        "test_set": test_set or row["test_set"],
        "verdict": verdict,
        "reason": "; ".join(not_comparable) if not_comparable else against,
    }


def _name_number(metric: str, structure: str) -> str:
    """What a number is of, in words: `Dice RV`, `ECE (%)`."""
    name, _, last = metric.rpartition("_")
    name, unit = (name, f" ({UNITS[last]})") if last in UNITS else (metric, "")
    text = " ".join(CALLED.get(word, word) for word in name.split("_"))
    return f"{text[0].upper()}{text[1:]}{unit}{'' if structure == ALL else f' {structure}'}"


def _key(row: Row, method: str, test_set: str | None) -> Key:
    of_random = method == RANDOM_REVIEW
    method, metric = (ANY, RANDOM_FLAGGED) if of_random else (method, row["metric"])
    return method, test_set or "", row["level"], row["structure"], metric


def _yes(agrees: bool) -> str:
    return "yes" if agrees else "no"


def _differing_settings(
    row: Row, methods: Sequence[str], test_set: str, study: Settings, paper: Settings
) -> Iterator[str]:
    """Every setting behind a row that is not the paper's."""
    training = [settings["datasets"][settings["split"]["dataset"]] for settings in (study, paper)]
    yield from _differences("training data", *training)
    theirs = [
        name for name, named in find_paper_test_sets(paper).items() if named == row["test_set"]
    ]
    if theirs:
        yield from _differences(
            "test data", _test_data(study, test_set), _test_data(paper, theirs[0])
        )
    else:
        yield f"test set {row['test_set']} is not in the paper's own study"
    # names of data sets are ours, what they hold was compared above
    splits = [_without(settings["split"], "dataset") for settings in (study, paper)]
    yield from _differences("split", *splits)
    for block in dict.fromkeys((*paper, *study)):
        # a block that this file has not heard of counts too
        if block not in COMPARED_BY_ROW | NO_NUMBER_DEPENDS_ON:
            yield from _differences(block, study.get(block, {}), paper.get(block, {}))
    parts = EVALUATION_OF.get(row["metric"], (*paper["evaluation"], *study["evaluation"]))
    # more resamples make an interval steadier, and no other
    evaluations = [
        {
            part: _without(settings["evaluation"].get(part, {}), "resamples")
            for part in dict.fromkeys(parts)
        }
        for settings in (study, paper)
    ]
    yield from _differences("evaluation", *evaluations)
    for method in methods:
        if method == ANY:
            continue
        if method not in paper["methods"]:
            yield f"method {method} is not in the paper's own study"
            continue
        blocks = [settings["methods"][method] for settings in (study, paper)]
        # what is measured on few or many patches selects nothing, unless the recipe says so
        recipes = [
            recipe if "selection" in recipe else _without(recipe, "validation_batches")
            for settings, block in zip((study, paper), blocks, strict=True)
            # what is trained elsewhere has none
            for recipe in [settings["recipes"].get(block.get("recipe"), {})]
        ]
        yield from _differences(f"recipe {blocks[0].get('recipe')}", *recipes)
        bare = (_without(block, "label", "recipe", "repeats", "colour") for block in blocks)
        yield from _differences(f"method {method}", *bare)


def _test_data(study: Settings, test_set: str) -> dict[str, Any]:
    """What a test set holds: its data set, how that is narrowed, and how it was distorted."""
    if test_set not in study["test_sets"]:
        distortions = study["distortions"]
        kind, _, degree_index = test_set.removeprefix(f"{distortions['test_set']}+").partition("-")
        degrees = distortions["kinds"][kind]
        degree = degrees[int(degree_index) - 1] if degree_index else degrees
        distortion = {"kind": kind, "degree": degree, "subjects": distortions["subjects"]}
        return {**_test_data(study, distortions["test_set"]), "distortion": distortion}
    block = study["test_sets"][test_set]
    narrowed = _without(block, "dataset", "label", "domain", "published")
    return {**study["datasets"][block["dataset"]], **narrowed}


def _without(block: Settings, *names: str) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name not in names}


def _differences(block: str, ours: Any, theirs: Any) -> list[str]:
    """In words what differs between two blocks of settings; empty if nothing does."""
    ours, theirs = _flat(ours), _flat(theirs)
    differing = [
        f"{name} {_say(ours, name)} instead of {_say(theirs, name)}".strip()
        for name in dict.fromkeys((*theirs, *ours))
        if name not in ours or name not in theirs or ours[name] != theirs[name]
    ]
    if not differing:
        return []
    more = len(differing) - NAMED_DIFFERENCES
    named = ", ".join(differing[:NAMED_DIFFERENCES]) + (f" and {more} more" if more > 0 else "")
    return [f"{block}: {named}"]


def _flat(settings: Any) -> dict[str, Any]:
    """Dotted name of each setting -> its value."""
    if not isinstance(settings, Mapping):
        return {"": settings}
    return {
        f"{name}.{below}".removesuffix("."): value
        for name, block in settings.items()
        for below, value in _flat(block).items()
    }


def _say(settings: Settings, name: str) -> str:
    """A value as YAML spells it."""
    return json.dumps(settings[name]).strip('"') if name in settings else "not set"
