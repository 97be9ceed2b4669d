"""Which values of a label file are which structure, as text that stands in the case table.

`background=0,1 MYO=2 LV=3 ignore=4` says that 0 and 1 are background, and that nobody annotated the
voxels of 4. A file may hold no other value.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiouq.errors import CardiouqError
from cardiouq.structures import BACKGROUND, IGNORE, IGNORED, label_of

LARGEST_VALUE = 255
"""The largest value that a label file may hold."""
Values = Mapping[str, int | Sequence[int]]
"""Name on disk -> its value or values."""
Wanted = Mapping[str, str | int | Sequence[str | int]]
"""Structure -> what it is on disk, by name or by value."""
VOID = 255
"""What many tools write where nobody annotated."""
UNKNOWN = re.compile(
    r"\b(void|ignored?|excluded?|invalid|ambiguous|(do ?not|don ?t) ?(care|know)"
    r"|un ?(annotated|assigned|certain|classified|clear|defined|known|labell?ed|segmented|specified"
    r"|sure)|(not?|non) ?(annotat|assigned|defined|known|label|segmented|specified)\w*)\b"
)
"""What words of a label's name say that nobody said what is there."""


def match_labels(known: Values, wanted: Wanted, structures: Iterable[str], where: str) -> str:
    """The text of a data set's labels.

    Args:
        known: the names that the data set gives its values; empty if it gives none.
        wanted: a study's `labels`. A structure that is not in it is the data set's of that name,
            and so is `ignore`; what is in neither is background.
        structures: of the study.
        where: names the data set in errors.

    Raises:
        CardiouqError: a structure is called by no name on disk, a value is two structures or none
            that a label file can hold, `wanted` names something else than structures, or what
            nobody annotated would be a class.
    """
    structures = list(structures)
    if strange := sorted(set(wanted) - {BACKGROUND, IGNORE, *structures}):
        raise CardiouqError(
            f"{where}: `labels` names {strange}; expected structures of the study, {structures}, "
            f"{BACKGROUND!r} or {IGNORE!r}"
        )
    found: dict[str, list[int]] = {}
    for name in structures:
        if name not in wanted and name not in known:
            values = ", ".join(f"{each}: {value}" for value, each in enumerate(structures, start=1))
            raise CardiouqError(
                f"{where}: {_unnamed(name, known)}; say in its `labels` in the study "
                f"which {'name or ' if known else ''}value it has, as `labels: {{{values}}}`"
            )
        found[name] = _values(wanted.get(name, name), known, where)
    named = {value for values in found.values() for value in values}
    told = set(_values(wanted.get(BACKGROUND, []), known, where))
    ignored = _ignored(known, wanted, named | told, where)
    rest = {name: _values(name, known, where) for name in known if name not in wanted}
    _check_rest(rest, named | told | ignored, where)
    background = {0, *told}.union(*rest.values()) - named - ignored
    found = {BACKGROUND: sorted(background), **found}
    if ignored:
        found[IGNORE] = sorted(ignored)
    every = [value for values in found.values() for value in values]
    if repeated := sorted(value for value, count in Counter(every).items() if count > 1):
        raise CardiouqError(f"{where}: label values {repeated} are of more than one structure")
    if not all(0 <= value <= LARGEST_VALUE for value in every) or 0 in named | ignored:
        raise CardiouqError(
            f"{where}: label values {every}; expected 1 to {LARGEST_VALUE} for structures and "
            f"{IGNORE!r}"
        )
    return " ".join(f"{name}={','.join(map(str, values))}" for name, values in found.items())


def _ignored(known: Values, wanted: Wanted, classes: set[int], where: str) -> set[int]:
    """Values that the study or the data set calls `ignore`; a CardiouqError if one is a class."""
    of_data_set = [IGNORE] if IGNORE in known else []
    ignored = {*_values(wanted.get(IGNORE, []), known, where), *_values(of_data_set, known, where)}
    if taken := sorted(ignored & classes):
        raise CardiouqError(
            f"{where}: label values {taken} are {IGNORE!r} and a class too; what nobody annotated "
            "is no class: leave them out of the other entries of `labels`"
        )
    return ignored


def speaks_of_unknown(name: str) -> bool:
    """Whether a label's name says that nobody annotated: `void`, `un-labelled`, `Don't care`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[\W\d_]+", " ", name)
    return UNKNOWN.search(words.lower()) is not None


def _check_rest(rest: Mapping[str, list[int]], told: set[int], where: str) -> None:
    """Raise a CardiouqError if what nobody annotated would be background, as nothing names it."""
    for name, values in rest.items():
        silent = set(values) - told
        if silent and (speaks_of_unknown(name) or VOID in silent):
            raise CardiouqError(
                f"{where}: label {name!r} (values {sorted(silent)}) seems to be what nobody "
                f"annotated, and would be background; say in the data set's `labels` either "
                f"`{IGNORE}: [{name}]`, so that nothing is learnt or scored there, or "
                f"`{BACKGROUND}: [{name}]` if it is that"
            )


def _values(told: Any, known: Values, where: str) -> list[int]:
    """Values of a name, a value, or a list of either."""
    if isinstance(told, int):
        return [told]
    if isinstance(told, str):
        if told not in known:
            raise CardiouqError(f"{where}: {_unnamed(told, known)}; expected a value in `labels`")
        return _values(known[told], {}, where)
    return [value for entry in told for value in _values(entry, known, where)]


def _unnamed(name: str, known: Values) -> str:
    """Say that a data set calls no label so."""
    if known:
        return f"no label is called {name!r}, found {sorted(known)}"
    return f"no label is called {name!r}, as the data set itself names none"


def parse_labels(text: str) -> dict[str, list[int]]:
    """Name -> values of `match_labels`'s text."""
    parts = (part.split("=") for part in text.split(" "))
    return {name: [int(value) for value in values.split(",")] for name, values in parts}


def to_project(text: str) -> NDArray[np.uint8]:
    """(256,): value on disk -> label in the project's order."""
    table = np.zeros(LARGEST_VALUE + 1, np.uint8)
    for name, values in parse_labels(text).items():
        table[values] = _label(name)
    return table


def to_disk(text: str) -> NDArray[np.uint8]:
    """(256,): label in the project's order -> the first value that it has on disk."""
    table = np.zeros(LARGEST_VALUE + 1, np.uint8)
    for name, values in parse_labels(text).items():
        if name != BACKGROUND:
            table[_label(name)] = values[0]
    return table


def _label(name: str) -> int:
    """Label in the project's order of what a text of labels names."""
    special = {BACKGROUND: 0, IGNORE: IGNORED}
    return special[name] if name in special else label_of(name)
