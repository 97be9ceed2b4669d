"""Quality control: curves by hand, what no ranking beats, what chance expects, and hours."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.errors import CardiouqError
from cardiouq.evaluation.quality_control import (
    HOURS,
    MOST_POINTS,
    N_SLICES,
    N_SUBJECTS,
    SECONDS,
    quality_control,
    slice_position,
    thresholds,
)
from cardiouq.evaluation.scoring import score_method
from cardiouq.evaluation.statistics import Key, compute_statistics
from cardiouq.structures import ALL, FOREGROUND, STRUCTURES
from tests.evaluation.conftest import SETTINGS

POOR = SETTINGS["poor"]
GOOD_MM, POOR_MM = 1.0, 3.0
BY = ("assd_within", "slice_position", "random", "oracle")
SEEDS = range(10)


def slices(
    assd: Sequence[float] | Any, within: Sequence[float] | Any, per_volume: int = 5
) -> pd.DataFrame:
    """Slices of one structure, in volumes of equally many."""
    number = np.arange(len(assd))
    return pd.DataFrame(
        {
            "case": [f"case{k}" for k in number // per_volume],
            "slice": number % per_volume,
            "assd_mm": np.asarray(assd, float),
            "assd_within_mm": np.asarray(within, float),
            "dice": 0.9,
            "reference_empty": number == 0,
            "predicted_empty": number == 1,
        }
    )


def scores(
    of_structures: dict[str, pd.DataFrame] | pd.DataFrame, method: str = "m", test_set: str = "t"
) -> pd.DataFrame:
    """Rows as of `slice_scores.csv`, alike for all structures if one table is given."""
    if isinstance(of_structures, pd.DataFrame):
        of_structures = dict.fromkeys((*STRUCTURES, FOREGROUND), of_structures)
    parts = [part.assign(structure=structure) for structure, part in of_structures.items()]
    return pd.concat(parts).assign(method=method, test_set=test_set)


def controlled(table: pd.DataFrame, poor: Any = POOR) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of method m on test set t by structure and ranking, and the points."""
    rows, curves = quality_control(table, ["m"], ["t"], poor)
    return rows.set_index(["structure", "by"]), curves.set_index(["structure", "by"])


# two of ten are poor; by ASSD_within they are the first and the third to be flagged
TEN = slices(
    [GOOD_MM, GOOD_MM, POOR_MM, GOOD_MM, POOR_MM, *[GOOD_MM] * 5],
    [0.1, 0.2, 0.8, 0.9, 1.0, 0.3, 0.4, 0.5, 0.6, 0.7],
)


def test_areas_and_flagged_shares_by_hand() -> None:
    rows, _ = controlled(scores(TEN))
    found = rows.loc["RV"]
    assert found.index.tolist() == list(BY)
    assert (found[["n_slices", "n_poor", "n_empty"]] == [10, 2, 2]).all(axis=None)
    # (0.2 + 0.1) / 2 + 0.1 + 0.1 / 2 in steps of 0.1; of the outermost four slices one is poor, of
    # the next four none, of the two in the middle one; straight lines
    position = 0.4 * (0.2 + 0.1) / 2 + 0.4 * 0.1 + 0.2 * 0.1 / 2
    assert found["auc"].tolist() == pytest.approx([0.03, position, 0.2 / 2, 0.2**2 / 2])
    assert found["flagged_percent"].tolist() == pytest.approx([25, 90, 75, 15])
    assert found.loc["assd_within", "hours_saved_random"] == pytest.approx(0.5 * HOURS)
    assert found.loc["assd_within", "hours_saved_slice_position"] == pytest.approx(0.65 * HOURS)
    assert found.loc["random", "hours_saved_random"] == 0


def test_points_of_the_curves_by_hand() -> None:
    _, curves = controlled(scores(TEN))
    points = {by: curves.loc[("LV", by), ["flagged_percent", "poor_left_percent"]] for by in BY}
    expected = {
        "assd_within": [(0, 20), (10, 10), (20, 10), (30, 0), (100, 0)],
        "slice_position": [(0, 20), (40, 10), (80, 10), (100, 0)],
        "random": [(0, 20), (100, 0)],
        "oracle": [(0, 20), (20, 0), (100, 0)],
    }
    for by, of_curve in expected.items():
        np.testing.assert_allclose(points[by], of_curve, atol=1e-9)


def test_limits_are_the_structures_own_and_not_reached_by_themselves() -> None:
    between = slices([1.17, 1.18, 1.19, 1.5, 1.88, 2.0], np.arange(6))
    rows, _ = controlled(scores(between))
    assert rows.xs("random", level="by")["n_poor"].to_dict() == {
        "RV": 1,
        "MYO": 3,
        "LV": 5,
        ALL: 9,
    }


def test_a_limit_of_dice_is_a_lower_one() -> None:
    ten = TEN.assign(dice=np.linspace(0.5, 0.95, 10))
    limits = {"metric": "dice", "RV": 0.62, "MYO": 0.62, "LV": 0.62}
    rows, _ = controlled(scores(ten), {"slice": limits, "remaining": 0.05})
    assert rows.loc[("RV", "oracle"), "n_poor"] == 3
    assert rows.loc[("RV", "oracle"), "auc"] == pytest.approx(0.3**2 / 2)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [0]),
        (2, [1, 1]),
        (5, [1, 0.5, 0, 0.5, 1]),
        (6, [1, 0.6, 0.2, 0.2, 0.6, 1]),
    ],
)
def test_the_ends_of_a_volume_come_first_then_inwards(count: int, expected: list[float]) -> None:
    volume = slices(np.ones(count), np.ones(count), per_volume=count)
    assert slice_position(volume).tolist() == expected
    shuffled = np.random.default_rng(0).permutation(count)
    assert slice_position(volume.iloc[shuffled]).tolist() == [expected[k] for k in shuffled]


def test_the_ends_of_all_volumes_tie_whatever_their_length() -> None:
    volumes = pd.concat(
        slices(np.ones(n), np.ones(n), per_volume=n).assign(case=f"of {n}") for n in (5, 6, 9)
    )
    position = slice_position(volumes)
    assert (position == 1).sum() == 6
    # the second slice of 5 and the third of 9 are both half way out: one step
    assert (position == 0.5).sum() == 4


def random_slices(seed: int) -> pd.DataFrame:
    """Fifty slices with ties in both, some of them missed."""
    rng = np.random.default_rng(seed)
    assd = np.round(rng.lognormal(0.3, 0.8, 50), 1)
    assd[rng.random(50) < 0.1] = 200
    within = np.round(np.clip(assd / 4 + rng.normal(0, 0.4 + seed / 10, 50), 0, 3), 1)
    return slices(assd, within, per_volume=10)


def on_grid(curve: pd.DataFrame) -> Any:
    """A curve at every half percent flagged."""
    grid = np.linspace(0, 100, 201)
    return np.interp(grid, curve["flagged_percent"], curve["poor_left_percent"])


@pytest.mark.parametrize("seed", SEEDS)
def test_no_ranking_beats_the_oracle(seed: int) -> None:
    rows, curves = controlled(scores(random_slices(seed)))
    for structure in STRUCTURES:
        found = rows.loc[structure]
        for number in ("auc", "flagged_percent"):
            assert found[number].min() == found.loc["oracle", number]
        best = on_grid(curves.loc[(structure, "oracle")])
        for by in BY:
            assert (on_grid(curves.loc[(structure, by)]) >= best - 1e-9).all()
    assert rows.loc[(ALL, "oracle"), "auc"] < rows.loc[(ALL, "assd_within"), "auc"]


def test_random_is_the_mean_over_shuffled_orders() -> None:
    forty = slices([POOR_MM] * 9 + [GOOD_MM] * 31, np.arange(40.0))
    _, curves = controlled(scores(forty))
    rng = np.random.default_rng(1)
    poor = rng.permuted(np.tile(forty["assd_mm"] > 1.88, (4000, 1)), axis=1)
    left = 100 * np.cumsum(poor[:, ::-1], axis=1)[:, ::-1].mean(0) / 40  # before each is flagged
    points = curves.loc[("RV", "random")]
    flagged = 100 * np.arange(40) / 40
    expected = np.interp(flagged, points["flagged_percent"], points["poor_left_percent"])
    np.testing.assert_allclose(expected, left, atol=0.2)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_oracle_turned_round_is_as_far_above_random_as_it_is_below(seed: int) -> None:
    made = random_slices(seed)
    rows, _ = controlled(scores(made.assign(assd_within_mm=-made["assd_mm"])))
    share = rows.loc[("RV", "random"), "n_poor"] / len(made)
    turned, random, oracle = (
        rows.loc[("RV", by), "auc"] for by in ("assd_within", "random", "oracle")
    )
    assert random == pytest.approx(share / 2)
    assert turned - random == pytest.approx(random - oracle)


def test_hours_are_those_of_the_paper_s_shares() -> None:
    """20 of 100 slices are poor, so random review flags 75 %; Deep Ens. flags 48 / 38 / 31 %."""
    parts = {}
    for structure, flagged in {"LV": 48, "MYO": 38, "RV": 31}.items():
        assd = np.full(100, GOOD_MM)
        # in the order of flagging: the fifteenth poor one is the last to be flagged
        assd[[*range(14), flagged - 1, *range(95, 100)]] = POOR_MM
        parts[structure] = slices(assd, np.arange(100, 0, -1), per_volume=10)
    rows, _ = controlled(scores(parts))
    of_method = rows.xs("assd_within", level="by")
    assert of_method.loc[["LV", "MYO", "RV"], "flagged_percent"].tolist() == pytest.approx(
        [48, 38, 31]
    )
    assert rows.xs("random", level="by")["flagged_percent"].tolist() == pytest.approx([75] * 4)
    assert of_method.loc[ALL, "hours_saved_random"] == pytest.approx(900)  # the paper: 940
    assert of_method.loc[ALL, "flagged_percent"] == pytest.approx(39)


def test_constants_are_the_paper_s() -> None:
    assert (N_SUBJECTS, N_SLICES, SECONDS) == (10_000, 10, 30)
    assert pytest.approx(2500 / 3) == HOURS


def test_all_structures_have_sums_of_counts_and_hours_and_means_of_the_rest() -> None:
    parts = {s: random_slices(k) for k, s in enumerate(STRUCTURES)}
    rows, _ = controlled(scores(parts))
    for by in BY:
        of_structures = rows.loc[[(s, by) for s in STRUCTURES]]
        for column in ("n_slices", "n_poor", "n_empty", "hours_saved_random"):
            assert rows.loc[(ALL, by), column] == pytest.approx(of_structures[column].sum())
        for column in ("auc", "flagged_percent"):
            assert rows.loc[(ALL, by), column] == pytest.approx(of_structures[column].mean())


def test_tables_have_each_method_and_test_set_in_order_and_no_other() -> None:
    parts = [scores(TEN, m, t) for m in ("a", "b") for t in ("val", "blur", "A")]
    rows, curves = quality_control(pd.concat(parts), ["b", "a"], ["val", "A"], POOR)
    expected = [(m, t, s, by) for m in "ba" for t in ("val", "A") for s in STRUCTURES for by in BY]
    keys = ["method", "test_set", "structure", "by"]
    of_structures = rows.loc[rows["structure"] != ALL, keys]
    assert [tuple(row) for row in of_structures.to_numpy()] == expected
    assert (rows["structure"] == ALL).sum() == 2 * 2 * len(BY)
    assert [tuple(row) for row in curves[keys].drop_duplicates().to_numpy()] == expected


@pytest.mark.parametrize(("assd", "auc", "flagged"), [(GOOD_MM, 0, 0), (POOR_MM, 0.5, 95)])
def test_nothing_or_everything_is_poor(assd: float, auc: float, flagged: float) -> None:
    rows, curves = controlled(scores(slices(np.full(8, assd), np.arange(8.0))))
    for by in BY:
        row = rows.loc[("MYO", by)]
        assert (row["auc"], row["flagged_percent"]) == pytest.approx((auc, flagged))
        assert row["hours_saved_random"] == pytest.approx(0)
    assert len(curves.loc[("MYO", "assd_within")]) == 2  # a straight line


def test_volumes_of_one_slice_have_no_position() -> None:
    rows, _ = controlled(scores(TEN.assign(case=np.arange(10).astype(str), slice=0)))
    numbers = ["auc", "flagged_percent"]
    position, random = (rows.loc[("RV", by), numbers] for by in ("slice_position", "random"))
    assert position.tolist() == random.tolist()
    rows, _ = controlled(scores(TEN.iloc[[2]]))
    assert rows.loc[("RV", "oracle"), numbers].tolist() == pytest.approx([0.5, 95])


def test_one_sample_ranks_by_chance() -> None:
    rows, _ = controlled(scores(TEN.assign(assd_within_mm=0.0)))
    one, random = (rows.loc[("RV", by), "auc":] for by in ("assd_within", "random"))
    assert one.tolist() == random.tolist()
    assert one["hours_saved_random"] == 0


def test_long_curves_are_thinned_and_keep_their_ends_and_their_course() -> None:
    rng = np.random.default_rng(0)
    assd = rng.lognormal(0, 0.8, 5000)
    many = slices(assd, assd * rng.lognormal(0, 0.6, 5000), per_volume=10)
    rows, curves = controlled(scores(many))
    curve = curves.loc[("LV", "assd_within")]
    assert len(curve) == MOST_POINTS
    assert curve["flagged_percent"].iloc[[0, -1]].tolist() == [0, 100]
    assert (curve["flagged_percent"].diff().iloc[1:] > 0).all()
    assert (curve["poor_left_percent"].diff().iloc[1:] <= 0).all()
    area = np.trapezoid(curve["poor_left_percent"], curve["flagged_percent"]) / 1e4
    assert area == pytest.approx(rows.loc[("LV", "assd_within"), "auc"], rel=0.01)


def test_what_is_missing_is_named() -> None:
    table = scores(TEN)
    with pytest.raises(CardiouqError, match=r"slice_scores\.csv of m, RV on other: no rows"):
        quality_control(table, ["m"], ["other"], POOR)
    without = scores(TEN.assign(assd_mm=TEN["assd_mm"].where(TEN["slice"] > 0)))
    with pytest.raises(CardiouqError, match="assd_mm is missing"):
        controlled(without)
    with pytest.raises(CardiouqError, match="no limit for LV"):
        controlled(table, {"slice": {"metric": "assd_mm", "RV": 1, "MYO": 1}, "remaining": 0.05})


def test_numbers_are_those_of_the_summary(make_study: Callable[..., Any]) -> None:
    tables = score_method("m", *make_study("m", p1=[0, 0, 1], p2=[6, 6, 8], p3=[2, 2, 0]))
    statistics, _ = compute_statistics(tables, ["m"], ["id"], SETTINGS, seed=1)
    rows, _ = quality_control(tables["slice_scores"], ["m"], ["id"], POOR)
    rows = rows.set_index(["structure", "by"])
    for structure in STRUCTURES:
        row = rows.loc[(structure, "assd_within")]
        for column, metric in (("auc", "quality_control_auc"), ("flagged_percent",) * 2):
            key = Key("m", "id", "slice", structure, f"{metric}_assd_within_mm")
            assert row[column] == pytest.approx(statistics[key].values[0])
        assert 0 < row["n_poor"] < row["n_slices"]


def test_threshold_leaves_few_poor_slices_below_it() -> None:
    # of 40 slices 4 are poor, of which 2 may be left; they stand at 1, 3, 5 and 7 mm
    within = np.arange(40) / 4
    assd = np.where(np.isin(within, [1, 3, 5, 7]), POOR_MM, GOOD_MM)
    found = thresholds(scores(slices(assd, within)), POOR)
    assert found == dict.fromkeys(STRUCTURES, ("assd_within_mm", 5.0))


def test_nothing_is_flagged_where_few_are_poor() -> None:
    assd = np.full(40, GOOD_MM)
    found = thresholds(scores(slices(assd, np.arange(40))), POOR)
    assert found == dict.fromkeys(STRUCTURES, ("assd_within_mm", np.inf))


def test_slices_of_one_sample_are_flagged_by_their_expected_dice() -> None:
    assd = np.where(np.arange(40) < 20, POOR_MM, GOOD_MM)
    table = slices(assd, np.zeros(40)).assign(estimated_dice=1 - (40 - np.arange(40)) / 64)
    found = thresholds(scores(table), POOR)
    # the two poor slices with the highest expected Dice are left
    assert found == dict.fromkeys(STRUCTURES, ("estimated_dice", 23 / 64))
