"""Changes of a study's settings, and the problems that they are."""

from collections.abc import Callable
from typing import Any

import pytest

from cardiouq.errors import ProblemsError
from cardiouq.study.study import Study

Settings = dict[str, Any]
MakeStudy = Callable[[Settings], Study]


def set_key(settings: Settings, place: str, value: Any) -> Settings:
    """Set `a.b.c`; a value of None removes the key."""
    *parents, key = place.split(".")
    block = settings
    for parent in parents:
        block = block[parent]
    if value is None:
        del block[key]
    else:
        block[key] = value
    return settings


def problems_of(make_study: MakeStudy, settings: Settings) -> list[str]:
    """What is said of a study, which must be refused."""
    with pytest.raises(ProblemsError) as caught:
        make_study(settings)
    assert "changed.yaml" in str(caught.value)
    return caught.value.problems


def reversed_keys(settings: Any) -> Any:
    """The same settings, every block with its last key first."""
    if isinstance(settings, dict):
        return {key: reversed_keys(settings[key]) for key in reversed(settings)}
    return [reversed_keys(value) for value in settings] if isinstance(settings, list) else settings
