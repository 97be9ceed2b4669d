"""Forests that foretell the Dice, and never learn from whom they are asked about."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from cardiouq.evaluation.forest import FEATURES, FOLDS, foretell_dice

STRUCTURES = ["LV", "RV"]


def tables(
    n_subjects: int = 20, test_set: str = "id", prefix: str = "p", seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two volumes of each subject, whose Dice falls with the entropy without the boundary."""
    rng = np.random.default_rng(seed)
    n = 2 * n_subjects
    names = np.repeat([f"{prefix}{i}" for i in range(n_subjects)], 2)
    keys = {"test_set": test_set, "case": [f"{s}_{i}" for i, s in enumerate(names)]}
    voxels = pd.DataFrame(keys | {"subject": names} | {f: rng.random(n) for f in FEATURES})
    scores = pd.concat(
        voxels[["test_set", "case", "subject"]].assign(
            structure=structure, dice=1 - slope * voxels["entropy_without_boundary_bits"]
        )
        for structure, slope in zip(STRUCTURES, (0.2, 0.5), strict=True)
    )
    return scores.sample(frac=1, random_state=seed), voxels


def test_it_finds_what_the_dice_falls_with() -> None:
    scores, voxels = tables()
    found = foretell_dice(scores, voxels, ["id"], 1)
    for structure in STRUCTURES:
        chosen = (scores["structure"] == structure).to_numpy()
        assert spearmanr(found[chosen], scores["dice"][chosen]).statistic > 0.8


@pytest.mark.parametrize("subject", ["p0", "p7"])
def test_a_subject_s_own_dice_changes_nothing_that_is_foretold_of_it(subject: str) -> None:
    """Nor that of its distorted volumes."""
    scores, voxels = (
        pd.concat(of_both, ignore_index=True)
        for of_both in zip(tables(), tables(test_set="id+noise-1", seed=3), strict=True)
    )
    own = (scores["subject"] == subject).to_numpy()
    changed = scores.assign(dice=scores["dice"].where(~own, 0.0))
    before, after = (foretell_dice(s, voxels, ["id"], 1) for s in (scores, changed))
    np.testing.assert_array_equal(before[own], after[own])
    assert (before[~own] != after[~own]).any()


def test_subjects_of_other_test_sets_are_foretold_and_not_learnt_from() -> None:
    scores, voxels = (
        pd.concat(of_both, ignore_index=True)
        for of_both in zip(tables(), tables(6, "ood", "q", seed=2), strict=True)
    )
    elsewhere = (scores["test_set"] == "ood").to_numpy()
    changed = scores.assign(dice=scores["dice"].where(~elsewhere, 0.0))
    before, after = (foretell_dice(s, voxels, ["id"], 1) for s in (scores, changed))
    np.testing.assert_array_equal(before, after)
    assert spearmanr(before[elsewhere], scores["dice"][elsewhere]).statistic > 0.5


def test_where_nobody_is_left_to_learn_from_all_are_the_same() -> None:
    scores, voxels = tables(n_subjects=1)
    assert (foretell_dice(scores, voxels, ["id"], 1) == 1).all()


def test_fewer_subjects_than_folds_are_each_left_out() -> None:
    scores, voxels = tables(n_subjects=FOLDS - 2)
    assert (foretell_dice(scores, voxels, ["id"], 1) < 1).all()


def test_the_seed_decides_and_the_order_of_rows_of_scores_does_not() -> None:
    scores, voxels = tables()
    found = foretell_dice(scores, voxels, ["id"], 1)
    np.testing.assert_array_equal(found, foretell_dice(scores, voxels, ["id"], 1))
    assert (found != foretell_dice(scores, voxels, ["id"], 2)).any()
    np.testing.assert_array_equal(found[::-1], foretell_dice(scores[::-1], voxels, ["id"], 1))


def test_slices_have_forests_too() -> None:
    scores, voxels = tables()
    found = foretell_dice(scores.assign(slice=3), voxels.assign(slice=3), ["id"], 1)
    np.testing.assert_array_equal(found, foretell_dice(scores, voxels, ["id"], 1))
