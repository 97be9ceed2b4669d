"""The split is by subject, stratified, and the same wherever it is made."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardiouq.data.split import (
    cases_of,
    check_split,
    read_split,
    read_test_sets,
    select_test_cases,
    split_subjects,
)
from cardiouq.errors import CardiouqError, ProblemsError

Subjects = Callable[..., pd.DataFrame]


def validation(split: pd.DataFrame) -> list[str]:
    return split.loc[split["split"] == "validation", "subject"].tolist()


def test_split_of_a_small_table_is_the_recorded_one(subjects: Subjects) -> None:
    # the two least of sha256("2022/patientNNN") in each pathology, worked out apart
    split = split_subjects(subjects(20), 0.2, seed=2022)
    assert validation(split) == ["patient004", "patient007", "patient015", "patient020"]


def test_order_of_rows_does_not_matter(subjects: Subjects) -> None:
    table = subjects(20)
    split = split_subjects(table, 0.2, seed=2022)
    for state in range(3):
        shuffled = table.sample(frac=1, random_state=state)
        pd.testing.assert_frame_equal(split_subjects(shuffled, 0.2, seed=2022), split)


def test_other_seeds_give_other_splits(subjects: Subjects) -> None:
    table = subjects(40)
    splits = {tuple(validation(split_subjects(table, 0.2, seed))) for seed in range(10)}
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
    rows = [
        {
            "dataset": "d",
            "subject": f"{pathology}-{number}",
            "pathology": str(pathology),
            "image_hash": f"{pathology}-{number}-{phase}",
        }
        for pathology, size in enumerate(sizes)
        for number in range(size)
        for phase in ("ED", "ES")
    ]
    quotas = [round(size * fraction) for size in sizes]
    if sum(quotas) in (0, sum(sizes)):
        with pytest.raises(CardiouqError, match="no one to train"):
            split_subjects(pd.DataFrame(rows), fraction, seed)
        return
    split = split_subjects(pd.DataFrame(rows), fraction, seed)
    assert sorted(split["subject"]) == sorted({row["subject"] for row in rows})
    assert split["subject"].is_unique
    held_out = split[split["split"] == "validation"].groupby("pathology").size()
    assert [held_out.get(str(i), 0) for i in range(len(sizes))] == quotas


@pytest.mark.parametrize("seed", range(12))
def test_subjects_with_the_same_image_stay_together(subjects: Subjects, seed: int) -> None:
    # 3 and 9 share images, and 9 and 15 do: all three are one group
    copies = {"patient009": "patient003"}
    table = subjects(20, copies)
    table.loc[table["case"] == "patient015_ES", "image_hash"] = "patient003-ES"
    split = split_subjects(table, 0.3, seed).set_index("subject")["split"]
    assert split[["patient003", "patient009", "patient015"]].nunique() == 1
    assert (split == "validation").sum() == 6


def test_same_image_in_two_pathologies_stays_in_training(subjects: Subjects) -> None:
    table = subjects(20, {"patient004": "patient003"})
    for seed in range(20):
        split = split_subjects(table, 0.4, seed).set_index("subject")["split"]
        assert split[["patient003", "patient004"]].tolist() == ["train", "train"]


def test_split_that_leaves_nobody_on_a_side_is_an_error(subjects: Subjects) -> None:
    with pytest.raises(CardiouqError, match=r"validation_fraction 0\.01"):
        split_subjects(subjects(4), 0.01, seed=1)


def test_subject_on_both_sides_is_named(subjects: Subjects, tmp_path: Path) -> None:
    split = split_subjects(subjects(20), 0.2, seed=2022)
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
    split = split_subjects(table, 0.2, seed=2022)
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
    split = split_subjects(acdc, 0.2, seed=2022)
    chosen = select_test_cases(
        two_sets,
        split,
        {
            "val": {"dataset": "acdc", "split": "validation"},
            "B": {"dataset": "mnms", "vendor": "B"},
            "all": {"dataset": "mnms"},
        },
    )
    members = chosen.groupby("test_set", sort=False)["case"].apply(list).to_dict()
    assert list(members) == ["val", "B", "all"]
    assert members["val"] == [f"{s}_{p}" for s in validation(split) for p in ("ED", "ES")]
    assert members["B"] == [f"m-patient00{n}_{p}" for n in (3, 4) for p in ("ED", "ES")]
    assert len(members["all"]) == 8
    chosen.to_csv(tmp_path / "test_sets.csv", index=False)
    read = read_test_sets(tmp_path / "test_sets.csv", two_sets)
    assert {name: [case.case for case in cases] for name, cases in read.items()} == members


def test_every_empty_test_set_is_named(two_sets: pd.DataFrame) -> None:
    split = split_subjects(two_sets[two_sets["dataset"] == "acdc"], 0.2, seed=2022)
    with pytest.raises(ProblemsError) as caught:
        select_test_cases(
            two_sets,
            split,
            {
                "C": {"dataset": "mnms", "vendor": "C"},
                "fine": {"dataset": "mnms"},
                "other": {"dataset": "kaggle"},
            },
        )
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["C", "other"]
