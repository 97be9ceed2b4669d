"""Differences between the settings of a study and those of a paper's, in words, as they matter to a
number."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cardiouq.reporting.tables.published import find_paper_methods, find_paper_test_sets

Settings = Mapping[str, Any]

COMPARED_BY_ROW = {"datasets", "split", "recipes", "methods", "test_sets", "evaluation"}
"""Blocks of a study of which each row depends on a part only."""

NO_NUMBER_DEPENDS_ON = {"title", "note", "seed", "phantom", "reporting", "distortions", "paper"}
"""Blocks that matter to no number, or by other blocks; no paper states its seed, and `paper` holds
what is compared with."""

EVALUATION_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("dice", "hausdorff_mm", "nll_nats", "brier"), ("bootstrap",)),
    "ece_percent": ("ece", "bootstrap"),
    "assd_mm": ("surface", "bootstrap"),
}
"""Metric -> parts of `evaluation` that it and its interval depend on; others depend on all."""

NAMED_DIFFERENCES = 3
"""Number of differing settings of a block that are named; more are counted."""


def differing_settings(
    row: Mapping[str, Any], methods: Sequence[str], test_set: str, study: Settings, paper: Settings
) -> Iterator[str]:
    """Every setting behind a number or a claim that is not the paper's, in words.

    Args:
        row: of a paper's numbers or claims; its metric and its test set.
        methods, test_set: ours that stand for the row's.
        study: settings of the study that ran, every default among them.
        paper: settings of the paper's own study, likewise.
    """
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
    paper_methods = find_paper_methods(study)
    for method in methods:
        called = paper_methods.get(method, method)
        if called not in paper["methods"]:
            yield f"method {called} is not in the paper's own study"
            continue
        blocks = [study["methods"][method], paper["methods"][called]]
        # what is measured on few or many patches selects nothing, unless the recipe says so
        recipes = [
            recipe if "selection" in recipe else _without(recipe, "validation_batches")
            for settings, block in zip((study, paper), blocks, strict=True)
            # what is trained elsewhere has none
            for recipe in [settings["recipes"].get(block.get("recipe"), {})]
        ]
        yield from _differences(f"recipe {blocks[0].get('recipe')}", *recipes)
        no_setting = "label", "recipe", "repeats", "reading_of", "colour"
        bare = (_without(block, *no_setting) for block in blocks)
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
