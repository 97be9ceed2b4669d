"""The schemas: what a setting may be, what it means and what it is unless it is set.

They lie in `config/schemas`; those of a method's own settings are in the method's file.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

from cardiouq.data.readers.adapters import ADAPTERS
from cardiouq.files.documents import read_yaml, with_defaults
from cardiouq.methods import is_own, method_class, variant_class
from cardiouq.methods.base import BaseMethod, BaseVariant
from cardiouq.methods.settings import settings_schema
from cardiouq.provenance.record import repository

Schema = dict[str, Any]


@cache
def schema_of(document: Literal["config", "study"]) -> Schema:
    """The schema of `config.yaml`, or of a study, whose layouts are those of the adapters."""
    schema: Schema = read_yaml(repository() / "config" / "schemas" / f"{document}.schema.yaml")
    if document == "study":
        block_of(schema, "datasets", "<name>", "layout")["enum"] = list(ADAPTERS)
    return schema


def block_of(schema: Schema, *place: str) -> Schema:
    """The part of a schema for what stands at a place, such as `"recipes", "dropout"`."""
    for key in place:
        schema = schema.get("properties", {}).get(key) or schema["additionalProperties"]
    return schema


def filled_in(settings: Any, *place: str) -> Any:
    """A copy of a study's settings with the defaults of what they leave out.

    Jobs are given settings as they are written, so that a default that is new makes nothing anew,
    and fill them in themselves.

    Args:
        settings: of a study, or the part of them that stands at `place`.
        place: keys that lead there, as in `block_of`.
    """
    return with_defaults(settings, block_of(schema_of("study"), *place))


def complete(written: Mapping[str, Any]) -> dict[str, Any]:
    """A study's settings with every default, those of methods and variants too.

    By them two studies are compared, as a default may be written or not; of a file of the user's no
    default is known.
    """
    filled: dict[str, Any] = filled_in(written)
    for block in filled["methods"].values():
        _fill_in(block, block["method"], method_class)
    for recipe in filled["recipes"].values():
        if "variant" in recipe:
            _fill_in(recipe["variant"], recipe["variant"]["name"], variant_class)
    return filled


def _fill_in(
    block: dict[str, Any],
    name: str,
    find: Callable[[str], type[BaseMethod] | type[BaseVariant]],
) -> None:
    """Give a method's or a variant's block the defaults that its class declares."""
    if not is_own(name):
        for setting, schema in settings_schema(find(name)).items():
            if schema["default"] is not None:  # None is for what is not set
                block.setdefault(setting, json.loads(json.dumps(schema["default"])))
