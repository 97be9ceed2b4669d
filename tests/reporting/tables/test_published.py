"""The paper's numbers: all there, and beside ours where they belong."""

from pathlib import Path

import pandas as pd
import pytest

from cardiouq.errors import CardiouqError
from cardiouq.files.documents import read_yaml
from cardiouq.reporting.tables.published import read_claims, read_published, with_published
from tests.paths import CONFIG

PUBLISHED = CONFIG / "published"
ZHAO = PUBLISHED / "zhao2022.csv"
ZHAO_CLAIMS = PUBLISHED / "zhao2022_claims.csv"
PAPERS = ["kushibar2022", "ng2022", "zhao2022", "zhao2024"]
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


def test_subjects_and_level_of_every_number_of_zhao2022_are_known() -> None:
    table = read_published(ZHAO)
    assert dict(zip(table["test_set"], table["n_subjects"], strict=True)) == {
        "acdc-val": 20,
        "mnms-A": 75,
        "mnms-B": 75,
    }
    assert set(table["level"]) == {"volume"}
    assert set(table["unknown"]) == {""}  # its ambiguities are switches of the study


def test_every_paper_has_its_numbers_and_its_claims() -> None:
    assert sorted(file.name for file in PUBLISHED.glob("*.csv")) == sorted(
        name for paper in PAPERS for name in (f"{paper}.csv", f"{paper}_claims.csv")
    )
    for paper in PAPERS:
        numbers = read_published(PUBLISHED / f"{paper}.csv")
        claims = read_claims(PUBLISHED / f"{paper}_claims.csv")
        assert set(numbers["paper"]) == {paper}
        assert set(claims["paper"]) <= {paper}
        # where the level or the test set is not stated, a row must say so
        vague = numbers[((numbers["level"] == "") | (numbers["test_set"] == ""))]
        assert (vague["unknown"] != "").all()
        assert (claims["smaller"] != claims["larger"]).all()
        assert (claims.groupby("claim")["text"].nunique() == 1).all()


@pytest.mark.parametrize("paper", PAPERS)
def test_every_claim_is_true_of_the_paper_s_own_numbers(paper: str) -> None:
    keys = ["method", "test_set", "level", "metric", "structure"]
    numbers = read_published(PUBLISHED / f"{paper}.csv").set_index(keys)["value"].to_dict()
    claims = read_claims(PUBLISHED / f"{paper}_claims.csv")
    for claim in claims.itertuples():
        where = (claim.test_set, claim.level, claim.metric, claim.structure)
        pair = [numbers.get((method, *where)) for method in (claim.smaller, claim.larger)]
        if claim.larger == "random_review":  # no method, so its number has a metric of its own
            random = ("any", claim.test_set, claim.level, "flagged_percent_random")
            pair[1] = numbers[(*random, claim.structure)]
        if paper == "ng2022" and claim.claim != "review_by_uncertainty":
            assert pair == [None, None]  # orders that are known without their numbers
        else:
            assert pair[0] < pair[1] if claim.strict else pair[0] <= pair[1], (claim, pair)


def test_claims_of_zhao2022_are_all_there() -> None:
    claims = read_claims(ZHAO_CLAIMS)
    ensembles = {"checkpoint_ensemble_single", "checkpoint_ensemble_multi"}
    dice = claims[claims["claim"] == "checkpoint_ensembles_beat_vanilla"]
    assert len(dice) == 2 * 3 * 3  # ensembles, test sets, structures
    assert set(dice["smaller"]) == {"vanilla"}
    assert set(dice["larger"]) == ensembles
    order = claims[claims["claim"] == "order_of_calibration"]
    chain = ["vanilla", "swa", "temperature_scaling", "mc_dropout", "deep_ensemble"]
    pairs = {*zip(chain[1:], chain[:-1], strict=True), *((e, "deep_ensemble") for e in ensembles)}
    for _, of_test_set in order.groupby("test_set"):
        found = of_test_set[["smaller", "larger"]].itertuples(index=False, name=None)
        assert sorted(found) == sorted(pairs)
    ood = claims[~claims["strict"]]
    assert ood["test_set"].tolist() == ["mnms-A", "mnms-B"]
    assert set(ood["metric"]) == {"ece_percent"}


def test_numbers_stand_beside_the_test_set_that_names_them() -> None:
    ours = pd.DataFrame(
        {
            "method": ["swa", "swa", "unheard_of", "swa"],
            "test_set": ["B", "own", "B", "B"],
            "level": ["volume", "volume", "volume", "slice"],
            "structure": "LV",
        }
    )
    beside = with_published(ours, read_published(ZHAO), "dice", {}, {"B": "mnms-B"})
    assert beside.loc[0, ["published", "published_sd"]].tolist() == [0.897, 0.069]
    assert beside.loc[1:, ["published", "published_sd"]].isna().all(axis=None)


def test_without_a_paper_no_number_stands_beside_ours() -> None:
    ours = pd.DataFrame(
        {"method": ["swa"], "test_set": ["B"], "level": ["volume"], "structure": ["LV"]}
    )
    beside = with_published(ours, read_published(None), "dice", {}, {})
    assert beside[["published", "published_sd"]].isna().all(axis=None)
    assert read_claims(None).empty


def test_methods_of_the_papers_are_keys_of_their_studies() -> None:
    """Those that a study has not got are known: a misspelt key would never be compared."""
    missing = {}
    for paper in PAPERS:
        study = read_yaml(PUBLISHED.parent / f"studies/{paper}.yaml")
        claims = read_claims(PUBLISHED / f"{paper}_claims.csv")
        named = {*read_published(PUBLISHED / f"{paper}.csv")["method"]}
        missing[paper] = (named | {*claims["smaller"], *claims["larger"]}) - set(study["methods"])
    assert missing == {
        "kushibar2022": {"multi_head"},
        "ng2022": {"any", "random_review"},
        "zhao2022": set(),
        "zhao2024": set(),
    }


def changed(file: Path, old: str, new: str, folder: Path) -> Path:
    """A copy of a file with its first `old` replaced."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    copy = folder / "paper.csv"
    copy.write_text(text.replace(old, new, 1), encoding="utf-8")
    return copy


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("unknown\n", "unclear\n", "columns .*'unclear'.*; expected"),
        (",0.911", ",.9l1", "line 2: value is '.9l1'; expected a number"),
        (",0.911", ",", "line 2: value is ''; expected a number"),
        (",0.052", ",none", "line 2: sd is 'none'; expected a number"),
        (",20,", ",twenty,", "line 2: n_subjects is 'twenty'; expected a number"),
        ("volume", "volumes", "line 2: level is 'volumes'; expected one of"),
        (",RV,", ",,", "line 2: structure is ''; expected one of"),
        (",MYO,", ",RV,", "method 'vanilla', .*metric 'dice', structure 'RV' is given twice"),
    ],
)
def test_a_number_that_cannot_be_right_is_refused(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(CardiouqError, match=message):
        read_published(changed(ZHAO, old, new, tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("smaller,larger", "larger,smaller", "columns .*; expected"),
        (",true,", ",yes,", "line 2: strict is 'yes'; expected one of"),
        ("single,true", "multi,true", "larger 'checkpoint_ensemble_multi' is given twice"),
    ],
)
def test_a_claim_that_cannot_be_right_is_refused(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(CardiouqError, match=message):
        read_claims(changed(ZHAO_CLAIMS, old, new, tmp_path))
