"""The paper's numbers: all there, and beside ours where they belong."""

from pathlib import Path

import pandas as pd
import pytest

from cardiouq.errors import CardiouqError
from cardiouq.reporting.published import read_published, with_published

ZHAO = Path(__file__).parents[2] / "config/published/zhao2022.csv"
METHODS = [
    "vanilla",
    "temperature_scaling",
    "swa",
    "mc_dropout",
    "deep_ensemble",
    "checkpoint_ensemble_single",
    "checkpoint_ensemble_multi",
]
# Table 2, ECE in percent: ACDC validation, M&Ms vendor A, vendor B
ECE = [
    (2.56, 4.34, 3.79),
    (2.18, 3.91, 3.46),
    (2.39, 4.07, 3.70),
    (1.70, 3.41, 2.95),
    (1.63, 3.16, 2.85),
    (1.25, 2.83, 2.69),
    (1.25, 2.75, 2.61),
]


def test_every_number_of_both_tables_is_there() -> None:
    table = read_published(ZHAO)
    test_sets = ["acdc-val", "mnms-A", "mnms-B"]
    dice = table[table["metric"] == "dice"]
    expected = {(m, t, s) for m in METHODS for t in test_sets for s in ("RV", "MYO", "LV")}
    assert set(dice[["method", "test_set", "structure"]].itertuples(index=False)) == expected
    assert dice[["value", "sd"]].notna().all(axis=None)
    assert dice["value"].between(0.8, 0.96).all()
    assert dice["sd"].between(0.02, 0.15).all()
    ece = table[table["metric"] == "ece_percent"].set_index(["method", "test_set"])["value"]
    assert {m: tuple(ece[m, t] for t in test_sets) for m in METHODS} == dict(
        zip(METHODS, ECE, strict=True)
    )


@pytest.mark.parametrize(
    ("method", "test_set", "structure", "value", "sd"),
    [
        ("vanilla", "mnms-A", "RV", 0.830, 0.119),
        ("swa", "acdc-val", "LV", 0.948, 0.033),
        ("mc_dropout", "mnms-A", "RV", 0.810, 0.146),
        ("deep_ensemble", "mnms-B", "MYO", 0.849, 0.047),
        ("checkpoint_ensemble_single", "mnms-B", "LV", 0.901, 0.065),
        ("checkpoint_ensemble_multi", "acdc-val", "MYO", 0.913, 0.024),
    ],
)
def test_dice_is_as_printed(
    method: str, test_set: str, structure: str, value: float, sd: float
) -> None:
    table = read_published(ZHAO).set_index(["method", "test_set", "structure"])
    assert tuple(table.loc[(method, test_set, structure), ["value", "sd"]]) == (value, sd)


def test_temperature_does_not_change_dice() -> None:
    dice = read_published(ZHAO).query("metric == 'dice'").drop(columns="method")
    halves = [
        dice[read_published(ZHAO).loc[dice.index, "method"] == method].reset_index(drop=True)
        for method in ("vanilla", "temperature_scaling")
    ]
    pd.testing.assert_frame_equal(*halves)


def test_numbers_stand_beside_the_test_set_that_names_them() -> None:
    ours = pd.DataFrame(
        {"method": ["swa", "swa", "unheard_of"], "test_set": ["B", "own", "B"], "structure": "LV"}
    )
    beside = with_published(ours, read_published(ZHAO), "dice", {"B": "mnms-B"})
    assert beside.loc[0, ["published", "published_sd"]].tolist() == [0.897, 0.069]
    assert beside.loc[1:, ["published", "published_sd"]].isna().all(axis=None)


def test_a_number_given_twice_is_refused(tmp_path: Path) -> None:
    lines = ZHAO.read_text().splitlines()
    doubled = tmp_path / "paper.csv"
    doubled.write_text("\n".join([*lines, lines[1]]))
    with pytest.raises(CardiouqError, match="dice RV of vanilla on acdc-val is given twice"):
        read_published(doubled)
