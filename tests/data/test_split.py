"""The split is by subject, stratified, and the same wherever it is made."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardiouq.data.split import (
    LEFT_OUT,
    cases_of,
    check_split,
    hold_out,
    read_split,
    read_test_sets,
    select_test_cases,
    split_subjects,
)
from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.study.schema import filled_in

Subjects = Callable[..., pd.DataFrame]


def side(split: pd.DataFrame, name: str) -> list[str]:
    return split.loc[split["split"] == name, "subject"].tolist()


def validation(split: pd.DataFrame) -> list[str]:
    return side(split, "validation")


def cases_by_pathology(sizes: list[int]) -> pd.DataFrame:
    """A case table of so many subjects of each pathology, two cases each."""
    return pd.DataFrame(
        {
            "dataset": "acdc",
            "subject": f"{pathology}-{number}",
            "part": "training",
            "pathology": str(pathology),
            "image_identity": f"{pathology}-{number}-{phase}",
        }
        for pathology, size in enumerate(sizes)
        for number in range(size)
        for phase in ("ED", "ES")
    )


def in_order_of_hash(subjects: list[str], seed: int) -> list[str]:
    return sorted(subjects, key=lambda s: hashlib.sha256(f"{seed}/{s}".encode()).hexdigest())


def test_split_of_a_small_table_is_the_recorded_one(subjects: Subjects) -> None:
    # the two least of sha256("2022/patientNNN") in each pathology, worked out apart
    split = split_subjects(subjects(20), "acdc", 0.2, 0, seed=2022)
    assert validation(split) == ["patient004", "patient007", "patient015", "patient020"]


def test_order_of_rows_does_not_matter(subjects: Subjects) -> None:
    table = subjects(20)
    split = split_subjects(table, "acdc", 0.2, 0, seed=2022)
    for state in range(3):
        shuffled = table.sample(frac=1, random_state=state)
        pd.testing.assert_frame_equal(split_subjects(shuffled, "acdc", 0.2, 0, seed=2022), split)


def test_other_seeds_give_other_splits(subjects: Subjects) -> None:
    table = subjects(40)
    splits = {tuple(validation(split_subjects(table, "acdc", 0.2, 0, seed))) for seed in range(10)}
    assert len(splits) == 10


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    fraction=st.floats(0.1, 0.9),
    seed=st.integers(0, 10**6),
)
def test_every_subject_has_one_side_and_every_pathology_its_share(
    sizes: list[int], fraction: float, seed: int
) -> None:
    cases = cases_by_pathology(sizes)
    quotas = [round(size * fraction) for size in sizes]
    if sum(quotas) in (0, sum(sizes)):
        empty = "train" if sum(quotas) else "validation"
        with pytest.raises(CardiouqError, match=f"leaves no one for {empty};"):
            split_subjects(cases, "acdc", fraction, 0, seed)
        return
    split = split_subjects(cases, "acdc", fraction, 0, seed)
    assert sorted(split["subject"]) == sorted(set(cases["subject"]))
    assert split["subject"].is_unique
    held_out = split[split["split"] == "validation"].groupby("pathology").size()
    assert [held_out.get(str(i), 0) for i in range(len(sizes))] == quotas


@pytest.mark.parametrize("seed", range(12))
def test_subjects_with_the_same_image_stay_together(subjects: Subjects, seed: int) -> None:
    # 3 and 9 share images, and 9 and 15 do: all three are one group
    copies = {"patient009": "patient003"}
    table = subjects(20, copies)
    table.loc[table["case"] == "patient015_ES", "image_identity"] = "patient003-ES"
    split = split_subjects(table, "acdc", 0.3, 0, seed).set_index("subject")["split"]
    assert split[["patient003", "patient009", "patient015"]].nunique() == 1
    assert (split == "validation").sum() == 6


def test_same_image_in_two_pathologies_stays_in_training(subjects: Subjects) -> None:
    table = subjects(20, {"patient004": "patient003"})
    for seed in range(20):
        split = split_subjects(table, "acdc", 0.4, 0, seed).set_index("subject")["split"]
        assert split[["patient003", "patient004"]].tolist() == ["train", "train"]


def test_split_that_leaves_nobody_on_a_side_is_an_error(subjects: Subjects) -> None:
    with pytest.raises(CardiouqError, match=r"validation_fraction 0\.01"):
        split_subjects(subjects(4), "acdc", 0.01, 0, seed=1)


def test_subjects_who_are_all_copies_are_named_as_the_reason(subjects: Subjects) -> None:
    own = subjects(4)
    conversion = own.assign(dataset="conversion", case=[f"c{i}" for i in range(8)])
    with pytest.raises(CardiouqError, match="4 are left out, as a test set has the same scans"):
        split_subjects(pd.concat([own, conversion]), "acdc", 0.5, 0, seed=1)


def test_a_subject_of_another_part_is_left_out(subjects: Subjects) -> None:
    table = subjects(10)
    later = table[table["subject"] == "patient003"].assign(part="testing", image_identity="new")
    later["case"] += "_later"
    split = split_subjects(pd.concat([table, later]), "acdc", 0.2, 0, seed=1)
    assert split.loc[split["split"] == LEFT_OUT, "subject"].tolist() == ["patient003"]


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(4, 12), min_size=1, max_size=4),
    fractions=st.sampled_from([(0.2, 0.2), (0.25, 0.5), (0.4, 0.15), (0.3, 0.0)]),
    seed=st.integers(0, 10**6),
)
def test_sides_are_the_first_subjects_of_each_pathology_by_their_hash(
    sizes: list[int], fractions: tuple[float, float], seed: int
) -> None:
    cases = cases_by_pathology(sizes)
    expected = {}
    for pathology, size in enumerate(sizes):
        names = in_order_of_hash([f"{pathology}-{n}" for n in range(size)], seed)
        first, second = (round(size * fraction) for fraction in fractions)
        expected |= dict.fromkeys(names, "train")
        expected |= dict.fromkeys(names[:first], "validation")
        expected |= dict.fromkeys(names[first : first + second], "test")
    if fractions[1] and "test" not in expected.values():
        with pytest.raises(CardiouqError, match="leaves no one for test;"):
            split_subjects(cases, "acdc", *fractions, seed)
        return
    split = split_subjects(cases, "acdc", *fractions, seed)
    assert dict(zip(split["subject"], split["split"], strict=True)) == expected
    assert split["subject"].is_unique


@pytest.mark.parametrize("seed", range(6))
def test_a_test_side_leaves_the_validation_side_as_it_was(subjects: Subjects, seed: int) -> None:
    table = subjects(24, {"patient009": "patient003", "patient014": "patient002"})
    two_ways, three_ways = (split_subjects(table, "acdc", 0.25, test, seed) for test in (0.0, 0.25))
    assert validation(three_ways) == validation(two_ways)
    assert set(side(three_ways, "test")) < set(side(two_ways, "train"))
    assert set(two_ways["split"]) == {"train", "validation"}


@pytest.mark.parametrize("seed", range(12))
def test_subjects_with_the_same_image_stay_together_on_three_sides(
    subjects: Subjects, seed: int
) -> None:
    table = subjects(20, {"patient009": "patient003", "patient008": "patient002"})
    split = split_subjects(table, "acdc", 0.2, 0.2, seed).set_index("subject")["split"]
    assert split["patient009"] == split["patient003"]
    assert split["patient008"] == split["patient002"]
    assert split.value_counts().to_dict() == {"train": 12, "validation": 4, "test": 4}


def test_split_without_anyone_to_test_on_is_an_error(subjects: Subjects) -> None:
    with pytest.raises(CardiouqError, match=r"no one for test; .* test_fraction 0\.01"):
        split_subjects(subjects(8), "acdc", 0.5, 0.01, seed=1)


@pytest.fixture
def held_out_of(subjects: Subjects) -> Callable[..., list[pd.DataFrame]]:
    """The split of every fold; 3, 9 and 15, 2 and 8, and (of two pathologies) 5 and 6 share
    images."""

    def make(folds: int, seed: int = 2022, state: int | None = None) -> list[pd.DataFrame]:
        copies = {
            "patient009": "patient003",
            "patient008": "patient002",
            "patient006": "patient005",
        }
        table = subjects(40, copies)
        table.loc[table["case"] == "patient015_ES", "image_identity"] = "patient003-ES"
        split = split_subjects(table, "acdc", 0.2, 0.1, seed)
        if state is not None:
            table = table.sample(frac=1, random_state=state)
            split = split.sample(frac=1, random_state=state)
        return [hold_out(table, split, fold, folds, seed) for fold in range(folds)]

    return make


Folds = Callable[..., list[pd.DataFrame]]


@pytest.mark.parametrize("folds", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", [1, 2022])
def test_folds_partition_the_training_subjects_and_meet_no_one_else(
    held_out_of: Folds, subjects: Subjects, folds: int, seed: int
) -> None:
    splits = held_out_of(folds, seed)
    for split in splits:
        check_split(split)
        assert set(split["split"]) == {"train", "validation"}
    everyone = [set(split["subject"]) for split in splits]
    held_out = [subject for split in splits for subject in validation(split)]
    # once each, and of the study's own split only the training side
    assert all(subjects_of == set(held_out) for subjects_of in everyone)
    assert len(held_out) == len(set(held_out)) == 28  # 40 less 20 % and 10 % of both pathologies


@pytest.mark.parametrize("seed", range(8))
def test_copies_of_a_subject_are_in_one_fold(held_out_of: Folds, seed: int) -> None:
    for split in held_out_of(3, seed):
        side_of = split.set_index("subject")["split"]
        for copies in (
            ["patient003", "patient009", "patient015"],
            ["patient002", "patient008"],
            ["patient005", "patient006"],
        ):
            found = side_of.reindex(copies).dropna()
            assert len(found) in (0, len(copies))
            assert found.nunique() <= 1


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(4, 15), min_size=1, max_size=4),
    folds=st.integers(2, 4),
    seed=st.integers(0, 10**6),
)
def test_pathologies_are_spread_over_the_folds(sizes: list[int], folds: int, seed: int) -> None:
    cases = cases_by_pathology(sizes)
    split = cases.drop_duplicates("subject").assign(split="train")
    counts = pd.DataFrame(
        hold_out(cases, split, fold, folds, seed)
        .query("split == 'validation'")
        .groupby("pathology")
        .size()
        for fold in range(folds)
    ).fillna(0)
    assert int((counts.max() - counts.min()).max()) <= 1
    assert int(counts.sum(axis=1).max() - counts.sum(axis=1).min()) <= 1


def test_folds_do_not_depend_on_the_order_of_rows(held_out_of: Folds) -> None:
    once = [set(validation(split)) for split in held_out_of(4)]
    assert once == [set(validation(split)) for split in held_out_of(4)]
    for state in range(3):
        assert once == [set(validation(split)) for split in held_out_of(4, state=state)]


def test_other_seeds_give_other_folds(subjects: Subjects) -> None:
    table = subjects(40)
    split = split_subjects(table, "acdc", 0.2, 0, seed=2022)
    first = {tuple(validation(hold_out(table, split, 0, 4, seed))) for seed in range(10)}
    assert len(first) == 10


def test_run_without_a_fold_has_the_study_s_split(subjects: Subjects) -> None:
    table = subjects(20)
    split = split_subjects(table, "acdc", 0.2, 0, seed=2022)
    pd.testing.assert_frame_equal(hold_out(table, split, None, None, 2022), split)


def test_more_folds_than_subjects_is_an_error(subjects: Subjects) -> None:
    table = subjects(10, {"patient003": "patient001"})
    split = pd.DataFrame(table.drop_duplicates("subject").assign(split="train"))
    hold_out(table, split, 0, 9, 1)
    # 10 subjects, of whom two are copies
    with pytest.raises(CardiouqError, match=r"10 training subject\(s\) .* into 10 folds"):
        hold_out(table, split, 0, 10, 1)


def test_subject_on_both_sides_is_named(subjects: Subjects, tmp_path: Path) -> None:
    split = split_subjects(subjects(20), "acdc", 0.2, 0, seed=2022)
    check_split(split)
    twice = split[split["split"] == "train"].iloc[[4, 6]]
    doubled = pd.concat([split, twice.assign(split="validation")])
    doubled.to_csv(tmp_path / "split.csv", index=False)
    with pytest.raises(ProblemsError, match="more than once") as caught:
        read_split(tmp_path / "split.csv")
    named = {s for s in split["subject"] if any(s in p for p in caught.value.problems)}
    assert named == set(twice["subject"])


def test_sides_hold_both_phases_of_their_subjects(subjects: Subjects) -> None:
    table = subjects(20)
    split = split_subjects(table, "acdc", 0.2, 0, seed=2022)
    train, held_out = (cases_of(table, split, side) for side in ("train", "validation"))
    assert len(train) == 32
    assert len(held_out) == 8
    assert set(train["subject"]).isdisjoint(held_out["subject"])


@pytest.fixture
def two_sets(subjects: Subjects) -> pd.DataFrame:
    other = subjects(4).assign(dataset="mnms", vendor=["A"] * 4 + ["B"] * 4)
    other["case"] = "m-" + other["case"]
    return pd.concat([subjects(20), other], ignore_index=True)


def test_test_sets_are_narrowed_by_split_and_vendor(two_sets: pd.DataFrame, tmp_path: Path) -> None:
    acdc = two_sets[two_sets["dataset"] == "acdc"]
    split = split_subjects(acdc, "acdc", 0.2, 0, seed=2022)
    chosen = select_test_cases(
        two_sets,
        split,
        filled_in(
            {
                "val": {"dataset": "acdc", "split": "validation"},
                "B": {"dataset": "mnms", "vendor": "B"},
                "all": {"dataset": "mnms"},
            },
            "test_sets",
        ),
    )
    members = chosen.groupby("test_set", sort=False)["case"].apply(list).to_dict()
    assert list(members) == ["val", "B", "all"]
    assert members["val"] == [f"{s}_{p}" for s in validation(split) for p in ("ED", "ES")]
    assert members["B"] == [f"m-patient00{n}_{p}" for n in (3, 4) for p in ("ED", "ES")]
    assert len(members["all"]) == 8
    chosen.to_csv(tmp_path / "test_sets.csv", index=False)
    read = read_test_sets([tmp_path / "test_sets.csv"], two_sets)
    assert {name: [case.case for case in cases] for name, cases in read.items()} == members


def test_every_empty_test_set_is_named(two_sets: pd.DataFrame) -> None:
    split = split_subjects(two_sets, "acdc", 0.2, 0, seed=2022)
    test_sets = {
        "C": {"dataset": "mnms", "vendor": "C"},
        "fine": {"dataset": "mnms"},
        "other": {"dataset": "kaggle"},
    }
    with pytest.raises(ProblemsError) as caught:
        select_test_cases(two_sets, split, filled_in(test_sets, "test_sets"))
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["C", "other"]


@pytest.mark.parametrize(
    ("narrowed", "advice"),
    [
        ({"vendor": "C"}, "; the cases of vendor 'C' are in ['testing'], set `part` to these"),
        (
            {"vendor": "D"},
            "; vendor 'D' has none in ['testing', 'training'], the parts that were read; `part` "
            "may name others that the layout has (docs/data.md)",
        ),
        (
            {"part": "validation"},
            "; the cases of the data set are in ['testing', 'training'], set `part` to these",
        ),
        ({"vendor": "B", "where": {"phase": "mid"}}, ""),
    ],
)
def test_a_test_set_of_other_parts_than_its_vendor_is_told_which_have_it(
    two_sets: pd.DataFrame, narrowed: dict[str, Any], advice: str
) -> None:
    of_mnms = two_sets[two_sets["dataset"] == "mnms"]
    cases = pd.concat([two_sets, of_mnms.assign(part="testing", vendor="C")])
    wanted = filled_in({"t": {"dataset": "mnms"} | narrowed}, "test_sets")
    with pytest.raises(ProblemsError) as caught:
        select_test_cases(cases, split_subjects(cases, "acdc", 0.2, 0, seed=1), wanted)
    assert caught.value.problems == [f"t: no case matches {wanted['t']}{advice}"]


def test_a_subject_whose_image_another_part_or_data_set_has_is_left_out(
    subjects: Subjects,
) -> None:
    table = subjects(20, copies={"patient003": "patient004"})
    testing = table[table["subject"] == "patient004"].assign(part="testing", subject="patient118")
    elsewhere = table[table["subject"] == "patient009"].assign(dataset="mnms", subject="A0")
    split = split_subjects(pd.concat([table, testing, elsewhere]), "acdc", 0.2, 0, seed=2022)
    sides = split.set_index("subject")["split"]
    # 3 is a copy of 4, so it goes with it
    assert set(sides[sides == LEFT_OUT].index) == {"patient003", "patient004", "patient009"}
    assert set(sides.index) == {f"patient{number:03d}" for number in range(1, 21)}
    assert (sides == "validation").sum() == 2 + 2  # a fifth of 8 and of 9


def test_test_sets_are_of_the_parts_that_they_name(subjects: Subjects) -> None:
    table = subjects(8)
    testing = subjects(2).assign(part="testing")
    testing[["subject", "case"]] = "t-" + testing[["subject", "case"]]
    both = pd.concat([table, testing], ignore_index=True)
    split = split_subjects(both, "acdc", 0.25, 0, seed=1)
    test_sets = {"val": {"dataset": "acdc", "split": "validation"}, "all": {"dataset": "acdc"}}
    test_sets["test"] = {"dataset": "acdc", "part": "testing"}
    test_sets["both"] = {"dataset": "acdc", "part": ["training", "testing"]}
    chosen = select_test_cases(both, split, filled_in(test_sets, "test_sets"))
    sizes = chosen.groupby("test_set").size()
    assert sizes.to_dict() == {"val": 4, "all": 16, "test": 4, "both": 20}
    assert chosen.loc[chosen["test_set"] == "test", "case"].str.startswith("t-").all()


def test_a_visit_of_several_parts_is_no_test_set(subjects: Subjects) -> None:
    """Its ejection fraction would be read off two scans."""
    table = subjects(8)
    split = split_subjects(table, "acdc", 0.25, 0, seed=1)
    test_sets = filled_in({"s": {"dataset": "acdc", "part": ["training", "other"]}}, "test_sets")
    apart = table.assign(part=table["phase"].map({"ED": "training", "ES": "other"}))
    with pytest.raises(ProblemsError, match="in several parts") as caught:
        select_test_cases(apart, split, test_sets)
    [problem] = caught.value.problems
    assert "8 subject(s)" in problem
    assert "['other', 'training']" in problem
    assert len(select_test_cases(apart.assign(visit=apart["phase"]), split, test_sets)) == 16
    assert len(select_test_cases(apart.assign(phase=""), split, test_sets)) == 16
