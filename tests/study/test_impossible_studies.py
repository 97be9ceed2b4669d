"""Splits, epochs and blocks that cannot be meant are found when the study is read."""

from pathlib import Path
from typing import Any

import pytest

from tests.study.changes import MakeStudy, Settings, problems_of, set_key


def of_ones_own(settings: Settings, dataset: str) -> None:
    """Make a data set one of the user's own scans."""
    own = {"layout": "csv", "source": "./scans", "labels": {"RV": 1, "MYO": 2, "LV": 3}}
    settings["datasets"][dataset] = own


def test_size_of_a_phantom_that_no_data_set_is_of_is_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    for block in tiny["datasets"].values():
        block["source"] = f"{block['layout']}_root"
    assert problems_of(make_study, tiny) == [
        "phantom: no data set's source is phantom; remove the block"
    ]
    del tiny["phantom"]
    assert make_study(tiny)


def test_paper_s_numbers_beside_scans_of_one_s_own_are_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    of_ones_own(tiny, "phantom-acdc")
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("test_sets.phantom-val.published: 'acdc-val' is the paper's test set")
    tiny["test_sets"]["phantom-val"]["published"] = None
    assert make_study(tiny)["reporting"]["published"] == "zhao2022"


def test_paper_beside_a_study_of_one_s_own_scans_alone_is_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    for dataset in tiny["datasets"]:
        of_ones_own(tiny, dataset)
    del tiny["phantom"]
    for block in tiny["test_sets"].values():
        block["published"] = None
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("reporting.published: 'zhao2022' has no number of scans of your own")
    tiny["reporting"]["published"] = None
    assert make_study(tiny)


@pytest.mark.parametrize(
    ("validation", "test", "subjects", "left"),
    [(0.1, 0.0, 10, "validation"), (0.5, 0.2, 5, "test, validation"), (0.8, 0.0, 10, "train")],
)
def test_fractions_that_leave_a_side_to_no_one_are_refused(
    make_study: MakeStudy, tiny: Settings, validation: float, test: float, subjects: int, left: str
) -> None:
    tiny["phantom"]["acdc_subjects"] = subjects
    tiny["split"] |= {"validation_fraction": validation, "test_fraction": test}
    [problem] = problems_of(make_study, tiny)
    assert f"split: the split of {subjects} subject(s) leaves no one for {left}; exp" in problem


def test_more_folds_than_training_subjects_are_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["methods"]["cv_ensemble"]["folds"] = 6
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith(
        "methods.cv_ensemble.folds: 5 training subject(s) cannot be divided into 6 folds"
    )


@pytest.mark.parametrize(
    ("asked", "outside"), [("-22, 8", [-22, -21, -1]), ("6, 10", [8, 9]), ("3, 3", [])]
)
def test_weights_of_epochs_that_the_schedule_has_not_are_refused(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path, asked: str, outside: list[int]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from cardiouq.methods.base import BaseMethod\n"
        "class Method(BaseMethod):\n"
        f"    def checkpoint_epochs(self, schedule): return list(range({asked}))\n",
        encoding="utf-8",
    )
    tiny["methods"]["mine"] = {"method": "mine.py", "label": "Mine", "recipe": "polynomial"}
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("methods.mine: does not go with recipe 'polynomial': asks for the")
    assert problem.endswith("expected some of 0 to 7")
    assert all(str(epoch) in problem for epoch in outside)


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        ("test_sets.phantom-A.published", "mnms-a", "'mnms-a' is not one of ["),
        ("distortions.published", {"noise-1": "noise-slihgt"}, "'noise-slihgt' is not one of ["),
        ("evaluation.poor.volume.RV", 80, "80; expected a Dice, 0 to 1"),
        ("methods.test_time_augmentation.scale", [1.1, 0.9], "scale [1.1, 0.9] goes down"),
        ("recipes.cyclical.schedule.cycles", 5, "12 epochs are not divisible into 5 cycles"),
    ],
)
def test_what_would_fail_or_mislead_after_all_trainings_is_refused(
    make_study: MakeStudy, tiny: Settings, place: str, value: Any, problem: str
) -> None:
    found = problems_of(make_study, set_key(tiny, place, value))
    assert any(problem in text for text in found), found


def test_a_study_beside_no_paper_may_keep_what_papers_call_its_test_sets(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["reporting"]["published"] = None
    assert make_study(tiny)["test_sets"]["phantom-val"]["published"] == "acdc-val"
