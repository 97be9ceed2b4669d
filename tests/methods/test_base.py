"""What a method says of itself, which is all that the rest of the program knows of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiouq.data.plan import Plan
from cardiouq.files.documents import schema_problems
from cardiouq.methods import method_class, method_names, variant_class
from cardiouq.methods.base import BaseMethod, BaseVariant, Member, folds_of
from cardiouq.methods.settings import setting, settings_schema
from cardiouq.recipes.schedule import CyclicalSchedule, PolynomialSchedule, StepSchedule, cyclical
from cardiouq.study.study import Study


@dataclass(frozen=True)
class Own(BaseMethod):
    """A setting of every kind."""

    draws_: int = setting(3, minimum=1, help="draws")
    scale: float = setting(0.5, exclusiveMinimum=0, help="scale")
    flip: bool = setting(False, help="whether")
    name: str = setting("x", help="name")
    kind: Literal["a", "b"] = setting("a", help="kind")
    folds: int | None = setting(None, minimum=2, help="folds")
    rate: float | Literal["fitted"] = setting(1.0, exclusiveMinimum=0, help="rate")
    sizes: Sequence[int] = setting((1, 2), minItems=2, help="sizes")
    bare: int = 4


GOOD = [
    {"draws_": 1},
    {"scale": 0.1},
    {"scale": 2},
    {"flip": True},
    {"name": "y"},
    {"kind": "b"},
    {"folds": 2},
    {"rate": 2},
    {"rate": "fitted"},
    {"sizes": [3, 4, 5]},
    {"bare": 7},
    {},
]
BAD = [
    {"draws_": 0},
    {"draws_": 1.5},
    {"draws_": True},
    {"scale": 0},
    {"scale": "1"},
    {"flip": 1},
    {"name": 3},
    {"kind": "c"},
    {"folds": 1},
    {"folds": None},
    {"rate": 0},
    {"rate": "guessed"},
    {"sizes": [1]},
    {"sizes": [1, 2.5]},
    {"sizes": 3},
    {"bare": "7"},
]


def problems(settings: dict[str, Any]) -> list[str]:
    schema = {"type": "object", "properties": settings_schema(Own)}
    return list(schema_problems(settings, schema))


@pytest.mark.parametrize("settings", GOOD)
def test_what_the_fields_allow_is_taken(settings: dict[str, Any]) -> None:
    assert problems(settings) == []
    assert all(getattr(Own(**settings), name) == value for name, value in settings.items())


@pytest.mark.parametrize("settings", BAD)
def test_what_the_fields_do_not_allow_is_named(settings: dict[str, Any]) -> None:
    [problem] = problems(settings)
    assert problem.startswith(next(iter(settings)))


def test_a_schema_says_default_and_meaning() -> None:
    schema = settings_schema(Own)
    assert schema["draws_"] == {
        "type": "integer",
        "minimum": 1,
        "default": 3,
        "description": "draws",
    }
    assert Own() == Own(3, 0.5, False, "x", "a", None, 1.0, (1, 2), 4)


def kinds() -> list[type[BaseMethod] | type[BaseVariant]]:
    found: list[type[BaseMethod] | type[BaseVariant]] = []
    for name in method_names():
        found.append(method_class(name))
        try:
            found.append(variant_class(name))
        except KeyError:  # most methods train as any
            continue
    return found


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_setting_of_the_package_has_a_meaning_and_a_default_that_it_may_have(
    kind: type[BaseMethod] | type[BaseVariant],
) -> None:
    for name, schema in settings_schema(kind).items():
        assert schema["description"], name
        default = schema["default"]
        if default is not None:
            written = list(default) if isinstance(default, tuple) else default
            assert list(schema_problems(written, schema)) == []


@pytest.mark.parametrize(
    "schedule",
    [
        PolynomialSchedule(9, alpha_0=0.01, epsilon=0.9),
        StepSchedule(50, alpha_0=1e-4, after=30, factor=0.1),
    ],
)
def test_a_schedule_without_cycles_has_none_to_sample(schedule: Any) -> None:
    with pytest.raises(ValueError, match="has none"):
        cyclical(schedule)
    for name in ("swa", "checkpoint_ensemble", "hmc"):
        with pytest.raises(ValueError, match="has none"):
            method_class(name)().checkpoint_epochs(schedule)


def test_a_cyclical_schedule_is_the_one_whose_cycles_are_sampled() -> None:
    schedule = CyclicalSchedule(
        9, cycles=3, gamma=0.8, alpha_0=0.01, alpha_r=0.1, epsilon=0.9, denominator="T"
    )
    assert cyclical(schedule) is schedule


OWN = """
from dataclasses import dataclass

from cardiouq.methods.base import BaseMethod, BaseVariant, Style, WeightPosterior, setting


@dataclass(frozen=True)
class Method(BaseMethod):
    usual_style = Style("#102030", "v")

    cycles: int = setting(1, minimum=0, help="of one run")

    def cycles_sampled(self):
        return self.cycles

    def sample_count(self, schedule, plan):
        return 5 * self.cycles


@dataclass(frozen=True)
class Variant(BaseVariant):
    prior_sd: float = setting(0.3, exclusiveMinimum=0, help="of the weights")

    def posterior(self):
        return WeightPosterior(self.prior_sd, 0.01)
"""


@pytest.mark.parametrize(
    ("cycles", "prior_sd", "trajectory"),
    [
        (0, 0.1, "checkpoint_ensemble_multi"),
        (3, 0.2, "checkpoint_ensemble_multi"),  # the first of those with the most
        (4, 0.5, "own"),
    ],
)
def test_a_file_of_the_user_s_says_as_much_as_one_of_the_package(
    cycles: int,
    prior_sd: float,
    trajectory: str,
    tiny: dict[str, Any],
    make_study: Callable[[dict[str, Any]], Study],
    plan: Plan,
    tmp_path: Path,
) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    variant = {"name": "own.py", "prior_sd": prior_sd}
    tiny["recipes"]["own"] = tiny["recipes"]["polynomial"] | {"variant": variant}
    block = {"method": "own.py", "label": "Own", "recipe": "own", "repeats": 2, "cycles": cycles}
    tiny["methods"]["own"] = block
    study = make_study(tiny)
    assert study.styles["own"] == ("#102030", "v")
    assert study.trajectory_method() == trajectory
    assert study.sample_count("own-repeat-2", plan) == 5 * cycles
    assert study.variant("own-repeat-2").posterior() == (prior_sd, 0.01)


def test_methods_whose_weights_have_a_posterior_are_told_by_their_variant(
    tiny: dict[str, Any], make_study: Callable[[dict[str, Any]], Study]
) -> None:
    study = make_study(tiny)
    posteriors = {name: study.variant(name).posterior() for name in study.methods}
    assert {name: found for name, found in posteriors.items() if found} == {"bbb": (0.1, 0.005)}


def test_a_study_without_samples_of_cycles_has_no_trajectory(
    tiny: dict[str, Any], make_study: Callable[[dict[str, Any]], Study]
) -> None:
    for name in ("checkpoint_ensemble_single", "checkpoint_ensemble_multi", "hmc_cp"):
        tiny["methods"][name] |= {"cycles": 1, "checkpoints": 1}  # as many samples as Vanilla has
    assert make_study(tiny).trajectory_method() is None
    for name in ("checkpoint_ensemble_single", "checkpoint_ensemble_multi", "hmc_cp"):
        del tiny["methods"][name]
    assert make_study(tiny).trajectory_method() is None


@given(
    seed=st.integers(0, 99),
    fold=st.none() | st.tuples(st.integers(0, 9), st.integers(2, 10)),
    branch=st.none() | st.integers(-9, 9),
)
def test_member_is_read_back_as_it_was_spelt(
    seed: int, fold: tuple[int, int] | None, branch: int | None
) -> None:
    member = Member(seed, *(fold or (None, None)), branch)
    if fold is None:
        assert str(member).startswith(str(seed))
    assert Member.parse(str(member)) == member


@pytest.mark.parametrize(
    ("member", "text"),
    [
        (Member(), "0"),
        (Member(3), "3"),
        (Member(0, 1, 4), "0-fold-1-of-4"),
        (Member(branch=-2), "0-branch-2"),
        (Member(2, 0, 3, 0), "2-fold-0-of-3-branch+0"),
    ],
)
def test_member_is_spelt_as_the_path_of_its_run_has_it(member: Member, text: str) -> None:
    assert str(member) == text


@pytest.mark.parametrize("text", ["", "x", "-1", "0-fold-1", "0-branch2", "0 ", "0-branch+1x"])
def test_text_that_is_no_member_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no member"):
        Member.parse(text)


def test_folds_are_runs_that_each_hold_out_one_part() -> None:
    assert [str(member) for member in folds_of(3)] == [f"0-fold-{k}-of-3" for k in range(3)]
