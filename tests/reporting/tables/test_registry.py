"""Each table of the registry has all that its rule needs."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cardiouq.reporting.captions import CAPTIONS
from cardiouq.reporting.tables.registry import TABLES, module_of, tables_of
from cardiouq.study.study import Study

SMALLER, LARGER, NEITHER = False, True, None
"""Which of two numbers is the better one."""
BLOCKS = {
    "calibration": {
        ("nll_nats", "volume"): ("NLL (nats)", SMALLER),
        ("brier", "volume"): ("Brier", SMALLER),
        ("ece_percent", "volume"): ("ECE (%)", SMALLER),
        ("average_ce_percent", "volume"): ("average CE (%)", SMALLER),
        ("maximum_ce_percent", "volume"): ("maximum CE (%)", SMALLER),
        ("classwise_ece_percent", "volume"): ("class-wise ECE (%)", SMALLER),
        ("adaptive_ce_percent", "volume"): ("adaptive CE (%)", SMALLER),
        ("image_ece_percent", "volume"): ("ECE of images (%)", SMALLER),
        ("image_average_ce_percent", "volume"): ("average CE of images (%)", SMALLER),
        ("image_maximum_ce_percent", "volume"): ("maximum CE of images (%)", SMALLER),
        ("predictive_entropy_bits", "volume"): ("entropy (bits)", NEITHER),
        ("expected_entropy_bits", "volume"): ("expected entropy (bits)", NEITHER),
        ("mutual_information_bits", "volume"): ("mutual information (bits)", NEITHER),
        ("variance", "volume"): ("variance", NEITHER),
        ("entropy_at_boundary_percent", "volume"): ("entropy at the boundary (%)", NEITHER),
    },
    "segmentation": {
        ("assd_mm", "volume"): ("ASSD (mm)", SMALLER),
        ("hd95_mm", "volume"): ("HD95 (mm)", SMALLER),
        ("hausdorff_mm", "volume"): ("Hausdorff (mm)", SMALLER),
        ("surface_dice", "volume"): ("Surface Dice", LARGER),
        ("estimated_dice", "volume"): ("Dice, estimated from the heat map", NEITHER),
        ("estimated_dice_error", "volume"): ("Error of the estimated Dice", SMALLER),
        ("sensitivity_possible", "volume"): ("Sensitivity of h > 0", LARGER),
        ("precision_certain", "volume"): ("Precision of h >= 0.99", LARGER),
        ("aula", "volume"): ("AULA", NEITHER),
        ("dice", "slice"): ("Dice, per slice", LARGER),
        ("one_empty_percent", "slice"): ("Missed or invented (%), per slice", SMALLER),
        ("assd_mm", "slice"): ("ASSD (mm), per slice, missed ones too", SMALLER),
    },
}
"""Table -> metric and level -> how the metric is printed, and which end of it is better."""


@pytest.mark.parametrize("table", BLOCKS)
def test_numbers_have_the_name_and_the_better_end_of_their_metric(table: str) -> None:
    blocks = import_module(f"cardiouq.reporting.tables.{table}").BLOCKS
    found = {(block.metric, block.level): (block.label, block.larger_is_better) for block in blocks}
    assert found == BLOCKS[table]


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
