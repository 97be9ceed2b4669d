"""The bootstrap over subjects: its draws, and its intervals against scipy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from cardiouq.evaluation.bootstrap import expanded_tail, intervals, subject_weights, weighted_mean

subjects_of_cases = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=20)
seeds = st.integers(0, 2**32 - 1)


@given(subjects_of_cases, st.integers(0, 20), seeds)
def test_every_resample_draws_as_many_subjects_as_there_are(
    subjects: list[str], resamples: int, seed: int
):
    weights = subject_weights(subjects, resamples, seed)
    assert weights.shape == (1 + resamples, len(subjects))
    assert (weights[0] == 1).all()
    names, first = np.unique(subjects, return_index=True)
    of_subjects = weights[:, first]
    assert (of_subjects >= 0).all() and (of_subjects == of_subjects.round()).all()
    assert (of_subjects.sum(1) == len(names)).all()
    # cases of a subject stay together
    for name, of_name in zip(names, of_subjects.T, strict=True):
        assert (weights[:, np.array(subjects) == name] == of_name[:, None]).all()


@given(subjects_of_cases, seeds)
def test_order_of_the_cases_does_not_matter(subjects: list[str], seed: int):
    order = np.random.default_rng(seed).permutation(len(subjects))
    weights = subject_weights(subjects, 5, seed)
    shuffled = subject_weights([subjects[index] for index in order], 5, seed)
    np.testing.assert_array_equal(shuffled, weights[:, order])


def test_same_draws_on_every_platform_and_others_for_every_seed():
    subjects = ["b", "a", "b", "c", "d"]
    expected = [
        [1, 1, 1, 1, 1],
        [0, 3, 0, 0, 1],
        [2, 0, 2, 0, 2],
        [2, 0, 2, 1, 1],
        [0, 1, 0, 1, 2],
    ]
    assert subject_weights(subjects, 4, 0).tolist() == expected
    assert subject_weights(np.array(subjects), 4, 0).tolist() == expected
    assert subject_weights(subjects, 4, 1).tolist() != expected


def test_every_subject_is_drawn_equally_often():
    weights = subject_weights(list("abcd"), 20_000, 3)[1:]
    # a count of draws is binomial (4, 1/4): mean 1, variance 3/4
    np.testing.assert_allclose(weights.mean(0), 1, atol=5 * np.sqrt(0.75 / 20_000))
    np.testing.assert_allclose(weights.var(0), 0.75, atol=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_weighted_mean_is_the_mean_of_copies(seed: int):
    rng = np.random.default_rng(seed)
    subjects = rng.choice(list("abcde"), 12)
    values = rng.normal(size=12)
    weights = subject_weights(subjects, 10, seed)
    copies = [np.repeat(values, row.astype(int)).mean() for row in weights]
    np.testing.assert_allclose(weighted_mean(values, weights), copies)


@pytest.mark.parametrize("seed", range(3))
def test_interval_of_a_mean_agrees_with_scipy(seed: int):
    rng = np.random.default_rng(seed)
    of_subjects = rng.gamma(2, size=25)
    values = np.repeat(of_subjects, 2) + np.tile([0.3, -0.3], 25)  # two cases of each subject
    subjects = np.repeat([f"patient{index:03}" for index in range(25)], 2)
    statistics = weighted_mean(values, subject_weights(subjects, 20_000, seed))
    theirs = bootstrap(
        (of_subjects,),
        np.mean,
        n_resamples=20_000,
        method="percentile",
        confidence_level=1 - 2 * expanded_tail(0.025, 25),
        rng=rng,
    )
    assert statistics[0] == pytest.approx(of_subjects.mean())
    # a 1.7 % quantile of 20,000 draws is uncertain by .021 standard errors, a difference by .031
    np.testing.assert_allclose(
        intervals(statistics[None], 0.95, 25)[:, 0],
        theirs.confidence_interval,
        atol=0.1 * theirs.standard_error,
    )


def test_interval_is_of_the_resamples_without_the_sample_itself():
    statistics = np.array([1e6, *range(100, -1, -1)])
    two = np.stack([statistics, statistics + 1])
    many = 10**6
    np.testing.assert_allclose(intervals(two, 0.9, many), [[5, 6], [95, 96]], atol=1e-3)


def test_ends_are_as_far_out_as_student_s_t_of_the_sample_s_own_sd():
    # Hesterberg (2015), table of the nominal 2.5 % for n = 5, 10 and 20
    shares = [expanded_tail(0.025, n) for n in (5, 10, 20)]
    assert shares == pytest.approx([0.0010, 0.0086, 0.0159], abs=1e-4)


@pytest.mark.parametrize(("subjects", "most"), [(6, 0.09), (20, 0.07)])
def test_equal_methods_are_told_apart_about_as_seldom_as_promised(subjects: int, most: float):
    rng = np.random.default_rng(0)
    weights = subject_weights(np.arange(subjects).astype(str), 1000, 1)
    differences = weights @ rng.normal(size=(subjects, 4000)) / subjects
    low, high = intervals(differences.T, 0.95, subjects)
    assert 0.04 < np.mean((low > 0) | (high < 0)) < most  # of plain percentiles .14 and .074


def test_one_subject_has_no_interval():
    statistics = weighted_mean(np.array([0.2, 0.4]), subject_weights(["a", "a"], 50, 0))
    np.testing.assert_allclose(statistics, 0.3)
    assert np.isnan(intervals(statistics[None], 0.95, 1)).all()


def test_resamples_without_a_number_are_left_out_and_too_many_leave_no_interval() -> None:
    values = np.arange(101.0)[None].repeat(2, 0)
    values[0, 1:6], values[1, 1:31] = np.nan, np.nan
    (low, none), (high, neither) = intervals(values, 0.95, subjects=20)
    tail = expanded_tail(0.025, 20)
    assert (low, high) == pytest.approx(tuple(np.quantile(values[0, 6:], [tail, 1 - tail])))
    assert np.isnan([none, neither]).all()
