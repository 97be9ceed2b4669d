"""Settings of a method or of a variant: its fields, from which a study's JSON schema follows."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from inspect import getmembers
from types import NoneType, UnionType
from typing import (
    Any,
    ClassVar,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

Default = TypeVar("Default")

JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
TYPES = (
    "bool, int, float, str, a Literal, several of these (`|`), a Sequence of one or a Mapping of "
    "str to one"
)
"""What the annotation of a setting may be, in words."""


def setting(default: Default, *, help: str, **constraints: Any) -> Default:
    """Declare a setting of a method or a variant, in the place of its field's default.

    Args:
        default: its value where a study does not set it.
        help: what it means, with its unit.
        constraints: further keywords of a JSON schema, as `minimum=1`; the types come from the
            field's annotation.
    """
    declared: Default = field(default=default, metadata={"description": help, **constraints})
    return declared


class SettingError(TypeError):
    """A field of a method or a variant that is no setting; says which, and why."""

    def __init__(self, of_field: str, text: str) -> None:
        self.field = of_field
        super().__init__(text)


def settings_schema(kind: type[Any]) -> dict[str, Mapping[str, Any]]:
    """JSON schema of each setting of a method or a variant.

    Raises:
        SettingError: naming the first field that is no setting, and why.
    """
    annotations = get_type_hints(kind)
    _check_fields(kind, annotations)
    return {
        declared.name: _schema_of(annotations[declared.name])
        | {"default": declared.default}
        | declared.metadata
        for declared in fields(kind)
    }


def _check_fields(kind: type[Any], annotations: Mapping[str, Any]) -> None:
    """Raise a SettingError unless all that a class declares is a setting of a type that may be."""
    found = fields(kind)
    declared = {name for name, value in getmembers(kind) if isinstance(value, Field)}
    declared |= {name for name, hint in annotations.items() if get_origin(hint) is not ClassVar}
    if lost := sorted(declared.difference(each.name for each in found)):
        raise SettingError(
            lost[0],
            f"{lost} would be no settings; write `@dataclass(frozen=True)` above the class, and "
            "`<name>: <type> = setting(...)` in it",
        )
    for each in found:
        hint = annotations[each.name]
        try:
            _schema_of(hint)
        except LookupError:
            called = hint.__name__ if isinstance(hint, type) else hint
            raise SettingError(
                each.name, f"setting `{each.name}` is of type {called}; expected {TYPES}"
            ) from None
        if each.default is MISSING:
            raise SettingError(
                each.name,
                f"setting `{each.name}` has no default; write `= setting(<default>, help=...)`",
            )


def _schema_of(annotation: Any) -> dict[str, Any]:
    """JSON schema of a type; a LookupError if there is none.

    None is for what is not set, and cannot be written.
    """
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    origin = get_origin(annotation)
    if origin is Literal:
        return {"enum": kinds}
    if origin in (Union, UnionType):
        return _schema_of(kinds[0]) if len(kinds) == 1 else {"anyOf": [*map(_schema_of, kinds)]}
    if origin is Sequence:
        return {"type": "array", "items": _schema_of(kinds[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema_of(kinds[1])}
    return {"type": JSON_TYPES[annotation]}
