"""Each table of the registry has all that its rule needs."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cardiouq.reporting.captions import CAPTIONS
from cardiouq.reporting.tables.registry import TABLES, module_of, tables_of
from cardiouq.study.study import Study


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_a_module_that_makes_it_and_a_caption(table: str) -> None:
    module = import_module(f"cardiouq.reporting.tables.{table}")
    assert callable(module.make)
    assert Path(str(module.__file__)) == module_of(table)
    assert (CAPTIONS / f"{table}.rst").is_file()


def test_study_without_paper_distortions_and_repeats_has_no_table_of_them(
    tiny: dict[str, Any], make_study: Callable[[dict[str, Any]], Study]
) -> None:
    assert list(tables_of(make_study(tiny))) == list(TABLES)
    tiny["reporting"]["published"] = None
    assert "verdict" in tables_of(make_study(tiny))  # of findings
    del tiny["distortions"]
    assert "verdict" not in tables_of(make_study(tiny))
    tiny["methods"]["vanilla"]["repeats"] = 1
    assert "repeats" not in tables_of(make_study(tiny))


@pytest.mark.parametrize(
    ("structures", "has"),
    [(["RV", "MYO", "LV"], True), (["LV", "RV", "MYO", "scar"], True), (["LV", "MYO"], False)],
)
def test_clinical_quantities_are_of_studies_with_the_heart_s_structures(
    tiny: dict[str, Any],
    make_study: Callable[[dict[str, Any]], Study],
    monkeypatch: pytest.MonkeyPatch,
    structures: list[str],
    has: bool,
) -> None:
    study = make_study(tiny)
    monkeypatch.setattr(Study, "structures", tuple(structures))
    assert ("clinical" in tables_of(study)) == has


def test_conformal_intervals_are_of_studies_with_a_test_set_in_domain(
    tiny: dict[str, Any], make_study: Callable[[dict[str, Any]], Study]
) -> None:
    for test_set in tiny["test_sets"].values():
        test_set["domain"] = "OOD"
    assert not {"conformal", "shift"} & set(tables_of(make_study(tiny)))
