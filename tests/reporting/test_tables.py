"""Summaries against means, deviations and calibration errors worked out by hand."""

import math

import pandas as pd
import pytest

from cardiouq.errors import CardiouqError
from cardiouq.reporting.tables import summarise_dice, summarise_ece


def scores(dice: dict[str, tuple[float, float, float]], method: str = "vanilla") -> pd.DataFrame:
    """RV, MYO and LV of cases named `<subject>_<phase>`; Dice 0 means that nothing was found."""
    return pd.DataFrame(
        {
            "method": method,
            "test_set": "val",
            "case": case,
            "subject": case.split("_")[0],
            "structure": structure,
            "dice": value,
            "reference_empty": False,
            "predicted_empty": value == 0,
        }
        for case, values in dice.items()
        for structure, value in zip(("RV", "MYO", "LV"), values, strict=True)
    )


THREE = {"a_ED": (0.9, 0.8, 0.95), "a_ES": (0.7, 0.8, 0.85), "b_ED": (0.8, 0.8, 0.0)}


def test_dice_has_the_mean_and_sample_sd_over_volumes() -> None:
    table = summarise_dice(scores(THREE), ["vanilla"], ["val"]).set_index("structure")
    assert table.loc["RV", "mean"] == pytest.approx(0.8)
    assert table.loc["RV", "sd"] == pytest.approx(0.1)  # sqrt((0.01 + 0.01 + 0) / 2)
    assert table.loc["MYO", "sd"] == pytest.approx(0)
    assert table.loc["LV", "mean"] == pytest.approx(0.6)
    assert list(table["n_volumes"]) == [3, 3, 3]
    assert list(table["n_subjects"]) == [2, 2, 2]


def test_missed_structures_stay_in_the_mean_and_are_counted() -> None:
    table = summarise_dice(scores(THREE), ["vanilla"], ["val"]).set_index("structure")
    assert table["n_empty"].to_dict() == {"RV": 0, "MYO": 0, "LV": 1}


def test_a_score_that_is_not_a_number_is_refused() -> None:
    broken = scores(THREE | {"c_ED": (math.nan, 0.5, 0.5)})
    with pytest.raises(CardiouqError, match=r"vanilla on val, RV.*c_ED"):
        summarise_dice(broken, ["vanilla"], ["val"])


def test_methods_scored_on_other_volumes_are_refused() -> None:
    fewer = {case: values for case, values in THREE.items() if case != "b_ED"}
    both = pd.concat([scores(THREE), scores(fewer, "swa")])
    with pytest.raises(CardiouqError, match=r"swa on val, RV: 2 volumes.*the 3 of vanilla"):
        summarise_dice(both, ["vanilla", "swa"], ["val"])


# Two volumes of 10 voxels; in bin 10 of 10 volume a is overconfident, volume b underconfident.
BINS = pd.DataFrame(
    [
        {"case": "a_ED", "bin": 10, "voxels": 10, "confidence": 9.5, "correct": 7},
        {"case": "b_ED", "bin": 10, "voxels": 5, "confidence": 4.6, "correct": 5},
        {"case": "b_ED", "bin": 6, "voxels": 5, "confidence": 2.9, "correct": 2},
    ]
).assign(method="vanilla", test_set="val")
TWO = scores({"a_ED": (0.9, 0.8, 0.9), "b_ED": (0.9, 0.8, 0.9)})


def test_ece_over_voxels_lets_volumes_cancel() -> None:
    row = summarise_ece(BINS, TWO, ["vanilla"], ["val"], "voxels", "reference").iloc[0]
    # (|9.5 + 4.6 - 12| + |2.9 - 2|) / 20
    assert row["mean"] == pytest.approx(100 * (2.1 + 0.9) / 20)
    assert math.isnan(row["sd"])


def test_ece_over_volumes_is_the_mean_of_the_volumes() -> None:
    row = summarise_ece(BINS, TWO, ["vanilla"], ["val"], "volumes", "reference").iloc[0]
    first, second = 100 * 2.5 / 10, 100 * (0.4 + 0.9) / 10
    assert row["mean"] == pytest.approx((first + second) / 2)
    assert row["sd"] == pytest.approx((first - second) / math.sqrt(2))
    assert (row["n_volumes"], row["n_subjects"], row["n_empty"]) == (2, 2, 0)


def test_ece_counts_the_volumes_without_foreground_to_box() -> None:
    no_rv = (TWO["case"] == "a_ED") & (TWO["structure"] == "RV")  # but MYO and LV to box
    missed = TWO.assign(predicted_empty=(TWO["case"] == "b_ED") | no_rv)
    counts = [
        summarise_ece(BINS, missed, ["vanilla"], ["val"], "voxels", box).loc[0, "n_empty"]
        for box in ("reference", "prediction")
    ]
    assert counts == [0, 1]


def test_ece_needs_bins_of_every_volume() -> None:
    with pytest.raises(CardiouqError, match="vanilla on val: bins of 1 volumes, scores of 2"):
        summarise_ece(BINS[:1], TWO, ["vanilla"], ["val"], "voxels", "reference")
