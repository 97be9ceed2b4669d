"""Which values of a label file are which structure, as text that stands in the case table.

`background=0,1 MYO=2 LV=3` says that 0 and 1 are background. A file may hold no other value.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiouq.errors import CardiouqError
from cardiouq.structures import BACKGROUND, label_of

LARGEST_VALUE = 255
Values = Mapping[str, int | Sequence[int]]
"""Name on disk -> its value or values."""
Wanted = Mapping[str, str | int | Sequence[str | int]]
"""Structure -> what it is on disk, by name or by value."""


def match_labels(known: Values, wanted: Wanted, structures: Iterable[str], where: str) -> str:
    """The text of a data set's labels.

    Args:
        known: the names that the data set gives its values; empty if it gives none.
        wanted: a study's `labels`. A structure that is not in it is the data set's of that name;
            what is in neither is background.
        structures: of the study.
        where: names the data set in errors.

    Raises:
        CardiouqError: a structure is called by no name on disk, a value is two structures or none
            that a label file can hold, or `wanted` names something else than structures.
    """
    structures = list(structures)
    if strange := sorted(set(wanted) - {BACKGROUND, *structures}):
        raise CardiouqError(
            f"{where}: `labels` names {strange}; expected structures of the study, {structures}, "
            f"or {BACKGROUND!r}"
        )
    found: dict[str, list[int]] = {}
    for name in structures:
        if name not in wanted and name not in known:
            raise CardiouqError(
                f"{where}: no label is called {name!r}, found {sorted(known)}; say in `labels` of "
                "the data set which name or value it has"
            )
        found[name] = _values(wanted.get(name, name), known, where)
    named = {value for values in found.values() for value in values}
    rest = _values([name for name in known if name not in wanted], known, where)
    background = {0, *rest, *_values(wanted.get(BACKGROUND, []), known, where)} - named
    found = {BACKGROUND: sorted(background), **found}
    every = [value for values in found.values() for value in values]
    if repeated := sorted(value for value, count in Counter(every).items() if count > 1):
        raise CardiouqError(f"{where}: label values {repeated} are of more than one structure")
    if not all(0 <= value <= LARGEST_VALUE for value in every) or 0 in named:
        raise CardiouqError(
            f"{where}: label values {every}; expected 1 to {LARGEST_VALUE} for structures"
        )
    return " ".join(f"{name}={','.join(map(str, values))}" for name, values in found.items())


def _values(told: Any, known: Values, where: str) -> list[int]:
    """Values of a name, a value, or a list of either."""
    if isinstance(told, int):
        return [told]
    if isinstance(told, str):
        if told not in known:
            raise CardiouqError(f"{where}: no label is called {told!r}, found {sorted(known)}")
        return _values(known[told], {}, where)
    return [value for entry in told for value in _values(entry, known, where)]


def parse_labels(text: str) -> dict[str, list[int]]:
    """Name -> values of `match_labels`'s text."""
    parts = (part.split("=") for part in text.split(" "))
    return {name: [int(value) for value in values.split(",")] for name, values in parts}


def to_project(text: str) -> NDArray[np.uint8]:
    """(256,): value on disk -> label in the project's order."""
    table = np.zeros(LARGEST_VALUE + 1, np.uint8)
    for name, values in parse_labels(text).items():
        table[values] = 0 if name == BACKGROUND else label_of(name)
    return table


def to_disk(text: str) -> NDArray[np.uint8]:
    """(256,): label in the project's order -> the first value that it has on disk."""
    table = np.zeros(LARGEST_VALUE + 1, np.uint8)
    for name, values in parse_labels(text).items():
        if name != BACKGROUND:
            table[label_of(name)] = values[0]
    return table
