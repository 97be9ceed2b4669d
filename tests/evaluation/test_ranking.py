"""Rankings against libraries, hand-made cases and copies of the cases instead of weights."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from cardiouq.evaluation.ranking import Ranking, RiskCoverage, spearman

SEEDS = range(40)


def random_cases(seed: int) -> tuple[Any, Any, Any]:
    """Uncertainties with ties, risks and weights of 25 cases in 4 resamples."""
    rng = np.random.default_rng(seed)
    uncertainty = rng.integers(0, 8, 25) / 7
    risk = np.round(np.clip(uncertainty + rng.normal(0, 0.4, 25), 0, 1), 1)
    weights = rng.multinomial(25, np.full(25, 1 / 25), size=3).astype(float)
    return uncertainty, risk, np.concatenate([np.ones((1, 25)), weights])


def one(count: int) -> Any:
    return np.ones((1, count))


def correlation(uncertainty: Any, error: Any, weights: Any) -> Any:
    return spearman(Ranking(uncertainty, weights), Ranking(error, weights))


def curve(uncertainty: Any, risk: Any, weights: Any) -> RiskCoverage:
    return Ranking(uncertainty, weights).curve(risk)


def measures(uncertainty: Any, risk: Any, weights: Any) -> Any:
    poor = risk > 0.5
    of_risk, of_poor = (curve(uncertainty, values, weights) for values in (risk, poor))
    return np.stack(
        [
            correlation(uncertainty, risk, weights),
            of_risk.aurc(),
            of_risk.augrc(),
            Ranking(uncertainty, weights).auroc_failure(poor),
            of_poor.flagged_share(0.05),
        ]
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_are_copies_of_the_cases(seed: int) -> None:
    uncertainty, risk, weights = random_cases(seed)
    found = measures(uncertainty, risk, weights)
    for row, drawn in enumerate(weights):
        copied = [np.repeat(values, drawn.astype(int)) for values in (uncertainty, risk)]
        expected = measures(*copied, one(len(copied[0])))[:, 0]
        np.testing.assert_allclose(found[:, row], expected, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_cases_does_not_matter(seed: int) -> None:
    uncertainty, risk, weights = random_cases(seed)
    shuffled = np.random.default_rng(seed).permutation(len(risk))
    np.testing.assert_allclose(
        measures(uncertainty[shuffled], risk[shuffled], weights[:, shuffled]),
        measures(uncertainty, risk, weights),
        atol=1e-12,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_spearman_agrees_with_scipy(seed: int) -> None:
    uncertainty, risk, _ = random_cases(seed)
    expected = spearmanr(uncertainty, risk).statistic
    assert correlation(uncertainty, risk, one(25))[0] == pytest.approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_auroc_agrees_with_scikit_learn(seed: int) -> None:
    uncertainty, risk, weights = random_cases(seed)
    failed = risk > 0.5
    expected = [roc_auc_score(failed, uncertainty, sample_weight=w) for w in weights]
    found = Ranking(uncertainty, weights).auroc_failure(failed)
    np.testing.assert_allclose(found, expected)


def by_definition(uncertainty: Any, risk: Any) -> tuple[float, float]:
    """AURC and AUGRC as fd-shifts defines them: a point for every threshold that occurs, then the
    area of the trapezoids between the points."""
    coverages, selective, generalised = [0.0], [], [0.0]
    for threshold in np.unique(uncertainty):
        kept = risk[uncertainty <= threshold]
        coverages.append(len(kept) / len(risk))
        selective.append(kept.mean())
        generalised.append(kept.sum() / len(risk))
    selective = [selective[0], *selective]
    return float(np.trapezoid(selective, coverages)), float(np.trapezoid(generalised, coverages))


@pytest.mark.parametrize("seed", SEEDS)
def test_aurc_and_augrc_are_the_areas_under_their_curves(seed: int) -> None:
    uncertainty, risk, _ = random_cases(seed)
    expected = by_definition(uncertainty, risk)
    found = curve(uncertainty, risk, one(25))
    assert (found.aurc()[0], found.augrc()[0]) == pytest.approx(expected)


def test_aurc_and_augrc_of_four_cases_by_hand() -> None:
    uncertainty, risk = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 0, 1, 1])
    # risk-coverage (0, 0) (1/4, 0) (1/2, 0) (3/4, 1/3) (1, 1/2)
    assert curve(uncertainty, risk, one(4)).aurc()[0] == pytest.approx((1 / 3 / 2 + 5 / 6 / 2) / 4)
    # generalised (1/2, 0) (3/4, 1/4) (1, 1/2)
    assert curve(uncertainty, risk, one(4)).augrc()[0] == pytest.approx((1 / 4 / 2 + 3 / 4 / 2) / 4)


def test_certainty_that_is_the_same_for_all_is_chance() -> None:
    same, risk = np.full(4, 0.3), np.array([0.0, 0.2, 0.9, 1.0])
    assert correlation(same, risk, one(4))[0] == 0
    assert correlation(risk, same, one(4))[0] == 0
    assert Ranking(same, one(4)).auroc_failure(risk > 0.5)[0] == 0.5
    assert curve(same, risk, one(4)).aurc()[0] == pytest.approx(risk.mean())
    assert curve(same, risk, one(4)).augrc()[0] == pytest.approx(risk.mean() / 2)


def test_where_all_or_none_failed_auroc_is_the_worst_or_the_best() -> None:
    uncertainty = np.array([0.1, 0.2, 0.3])
    assert Ranking(uncertainty, one(3)).auroc_failure(np.array([True] * 3))[0] == 0
    assert Ranking(uncertainty, one(3)).auroc_failure(np.array([False] * 3))[0] == 1


def test_quality_control_curve_by_hand() -> None:
    uncertainty = np.array([0.9, 0.1, 0.5, 0.2])
    poor = np.array([True, False, True, False])
    found = curve(uncertainty, poor, one(4))
    np.testing.assert_allclose(1 - found.coverage[0], [1, 0.75, 0.5, 0.25, 0])
    np.testing.assert_allclose(found.kept[0], [0, 0, 0, 0.25, 0.5])


@pytest.mark.parametrize(
    ("uncertainty", "poor", "expected"),
    [
        # the two poor ones of 40 leave exactly 5 %: nothing to flag
        (np.arange(40.0), [True] * 2 + [False] * 38, 0),
        # oracle: of 20 poor ones in 100, 15 have to go
        (np.arange(100.0), [False] * 80 + [True] * 20, 0.15),
        # no ranking: three quarters, as ng2022 says of random review
        (np.zeros(100), [False] * 80 + [True] * 20, 0.75),
        # everything is poor: all but 5 %
        (np.arange(100.0), [True] * 100, 0.95),
        (np.arange(100.0), [False] * 100, 0),
    ],
)
def test_share_to_flag(uncertainty: Any, poor: list[bool], expected: float) -> None:
    found = curve(uncertainty, np.array(poor), one(len(poor))).flagged_share(0.05)
    assert found[0] == pytest.approx(expected)


def test_resamples_without_a_failure_are_not_part_of_auroc_s_interval() -> None:
    """An uncertainty that is the same everywhere has 0.5 in each resample that has both kinds."""
    failed = np.array([True, False, False])
    drawn = np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 1.0], [3.0, 0.0, 0.0], [1.0, 0.0, 2.0]])
    found = Ranking(np.ones(3), drawn).auroc_failure(failed)
    assert found.tolist() == pytest.approx([0.5, np.nan, np.nan, 0.5], nan_ok=True)
