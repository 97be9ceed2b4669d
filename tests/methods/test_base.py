"""Settings are declared once: their schema is that of their fields."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from cardiouq.files.documents import schema_problems
from cardiouq.methods import method_class, method_names, variant_class
from cardiouq.methods.base import BaseMethod, BaseVariant, setting, settings_schema
from cardiouq.recipes.schedule import CyclicalSchedule, PolynomialSchedule, StepSchedule, cyclical


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
    *({"draws_": 1}, {"scale": 0.1}, {"scale": 2}, {"flip": True}, {"name": "y"}, {"kind": "b"}),
    *({"folds": 2}, {"rate": 2}, {"rate": "fitted"}, {"sizes": [3, 4, 5]}, {"bare": 7}, {}),
]
BAD = [
    *({"draws_": 0}, {"draws_": 1.5}, {"draws_": True}, {"scale": 0}, {"scale": "1"}),
    *({"flip": 1}, {"name": 3}, {"kind": "c"}, {"folds": 1}, {"folds": None}, {"rate": 0}),
    *({"rate": "guessed"}, {"sizes": [1]}, {"sizes": [1, 2.5]}, {"sizes": 3}, {"bare": "7"}),
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


@pytest.mark.parametrize("schedule", [PolynomialSchedule(9), StepSchedule(50)])
def test_a_schedule_without_cycles_has_none_to_sample(schedule: Any) -> None:
    with pytest.raises(ValueError, match="has none"):
        cyclical(schedule)
    for name in ("swa", "checkpoint_ensemble", "hmc"):
        with pytest.raises(ValueError, match="has none"):
            method_class(name)().checkpoint_epochs(schedule)


def test_a_cyclical_schedule_is_the_one_whose_cycles_are_sampled() -> None:
    schedule = CyclicalSchedule(9)
    assert cyclical(schedule) is schedule
