"""Defaults stand in the schemas, are filled in where settings are used, and decide nothing."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from cardiouq.files.documents import read_yaml, schema_problems
from cardiouq.study.schema import block_of, filled_in, schema_of
from cardiouq.study.study import Study

Settings = dict[str, Any]
SGD = {"name": "sgd", "momentum": 0.9, "weight_decay": 0}
ADAMW = {"name": "adamw", "weight_decay": 0}


def blocks_with_defaults(schema: Any) -> Iterator[Settings]:
    """Every part of a schema that has a default, with what else is said of its key."""
    if isinstance(schema, dict):
        for key, block in schema.get("then", {}).get("properties", {}).items():
            if isinstance(block, dict) and "default" in block:
                yield {**schema["properties"][key], **block}
        if "default" in schema and "description" in schema:
            yield schema
        for block in schema.values():
            yield from blocks_with_defaults(block)


def test_every_default_is_one_that_its_schema_allows() -> None:
    blocks = list(blocks_with_defaults(schema_of("study")))
    assert len(blocks) >= 12
    for block in blocks:
        assert list(schema_problems(block["default"], block)) == [], block["description"]


@pytest.mark.parametrize(
    ("settings", "place", "expected"),
    [
        ({}, ["plan"], {"normalisation": "volume"}),
        ({"crop": [8, 8]}, ["plan"], {"crop": [8, 8], "normalisation": "volume"}),
        ({"test_fraction": 0.2}, ["split"], {"test_fraction": 0.2}),
        ({}, ["split"], {"test_fraction": 0}),
        (SGD, ["recipes", "any", "optimiser"], {**SGD, "nesterov": True}),
        ({**SGD, "nesterov": False}, ["recipes", "any", "optimiser"], {**SGD, "nesterov": False}),
        (ADAMW, ["recipes", "any", "optimiser"], ADAMW),
        ({"split": "test"}, ["test_sets", "x"], {"split": "test", "part": "training", "where": {}}),
        ({"method": "single"}, ["methods", "any"], {"method": "single", "repeats": 1}),
        ({"kinds": {}}, ["distortions"], {"kinds": {}, "published": {}}),
    ],
)
def test_default_stands_for_what_is_left_out_and_for_nothing_else(
    settings: Settings, place: list[str], expected: Settings
) -> None:
    before = deepcopy(settings)
    assert filled_in(settings, *place) == expected
    assert settings == before


@pytest.mark.parametrize("part", ["plan", "split", "test_sets", "recipes", "methods"])
def test_part_of_a_study_is_filled_in_as_the_whole(tiny: Settings, part: str) -> None:
    assert filled_in(tiny)[part] == filled_in(tiny[part], part)


def test_default_of_one_study_is_not_another_s(tiny: Settings) -> None:
    first, second = filled_in(tiny), filled_in(tiny)
    first["structures"].append("LA")
    assert second["structures"] == ["RV", "MYO", "LV"]


def identity_of(study: Study) -> list[Any]:
    """What decides whether anything of a study is trained or predicted anew."""
    runs = [(recipe, member) for recipe in study["recipes"] for member in study.members(recipe)]
    return [
        study.all_run_folders(),
        [study.run_settings(*run) for run in runs],
        [study.prediction_settings(name) for name in (*study.methods, *study.repeats)],
        study.data_folders(),
        [study.written[part] for part in ("split", "plan", "test_sets")],
    ]


@pytest.mark.parametrize(
    "place",
    [
        ["plan"],
        ["split"],
        ["datasets", "any"],
        ["recipes", "any"],
        ["recipes", "any", "augmentation"],
        ["test_sets", "any"],
        ["prediction"],
    ],
)
def test_default_that_is_new_in_a_schema_makes_nothing_anew(
    tiny: Settings,
    make_study: Callable[[Settings], Study],
    monkeypatch: pytest.MonkeyPatch,
    place: list[str],
) -> None:
    before = identity_of(make_study(tiny))
    keys = block_of(schema_of("study"), *place)["properties"]
    monkeypatch.setitem(keys, "a_new_one", {"type": "integer", "default": 5})
    after = make_study(tiny)
    assert "a_new_one" in str(after[place[0]])
    assert identity_of(after) == before


@pytest.mark.parametrize("name", ["zhao2022", "ng2022", "laptop", "buddenkotte2023"])
def test_jobs_are_given_settings_as_their_file_has_them(
    name: str, local_config: Settings, repository: Path
) -> None:
    study = Study(name, local_config, repository / "config")
    file = read_yaml(study.file)
    for recipe, block in file["recipes"].items():
        for member in study.members(recipe):
            assert json.loads(study.run_settings(recipe, member))["recipe"] == block
    for method, block in file["methods"].items():
        settings = json.loads(study.prediction_settings(method))
        assert settings["method"].items() <= block.items()
        assert settings["recipe"] == file["recipes"][block["recipe"]]
