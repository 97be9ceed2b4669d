"""A cross-validation ensemble is not a deep ensemble."""

from typing import Any

from cardiouq.methods import cv_ensemble, deep_ensemble
from cardiouq.methods.base import Member
from cardiouq.recipes.schedule import PolynomialSchedule

SCHEDULE = PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9)


def test_members_are_the_folds() -> None:
    members = cv_ensemble.Method(folds=3).members()
    assert [(m.fold, m.folds) for m in members] == [(0, 3), (1, 3), (2, 3)]
    assert len({str(member) for member in members}) == 3


def test_no_run_is_a_deep_ensemble_s_too() -> None:
    deep = deep_ensemble.Method(size=5).members()
    assert [(m.seed, m.fold, m.folds) for m in deep] == [(k, None, None) for k in range(5)]
    folds = cv_ensemble.Method(folds=5).members()
    assert not {str(member) for member in deep} & {str(member) for member in folds}


def test_each_fold_s_last_network_is_a_sample(make_run: Any) -> None:
    method = cv_ensemble.Method(folds=3)
    runs = [make_run({7: lambda k=k: k}, member) for k, member in enumerate(method.members())]
    draws = list(method.draws(runs, SCHEDULE, method.fit(runs, SCHEDULE)))
    assert [draw.network for draw in draws] == [0, 1, 2]
    assert [(s.member.fold, s.epoch) for draw in draws for s in draw.samples] == [
        (0, 7),
        (1, 7),
        (2, 7),
    ]


def test_members_are_spelt_and_read_back() -> None:
    for member in [*cv_ensemble.Method(folds=3).members(), *deep_ensemble.Method(size=2).members()]:
        assert Member.parse(str(member)) == member
