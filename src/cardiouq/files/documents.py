"""YAML and JSON files and the schemas that they have to keep."""

import difflib
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend

from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.files.reading import read, to_delete
from cardiouq.files.writing import atomic_write
from cardiouq.names import EXPECTED, is_name

FORMATS = FormatChecker(formats=())
"""Formats of the schemas: `name` is what people read (`cardiouq.names`)."""
FORMATS.checks("name")(lambda found: not isinstance(found, str) or is_name(found))


def _is_integer(checker: Any, found: Any) -> bool:
    """Not 8.0, which JSON takes for an integer, and Python's own functions do not."""
    return isinstance(found, int) and not isinstance(found, bool)


def _is_number(checker: Any, found: Any) -> bool:
    """Not NaN, which no limit keeps out."""
    return _is_integer(checker, found) or (isinstance(found, float) and isfinite(found))


TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {"integer": _is_integer, "number": _is_number}
)
Validator = extend(Draft202012Validator, type_checker=TYPES)  # type: ignore[no-untyped-call]


class _Loader(yaml.SafeLoader):
    """A loader of keys as written, each once, where YAML's makes 1 of 001 and takes twins."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = self.DEFAULT_SCALAR_TAG

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} stands twice", key.start_mark
                )
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read a YAML file; one that cannot be parsed is a CardiouqError with the line."""
    try:
        return yaml.load(path.read_bytes(), _Loader)
    except yaml.YAMLError as error:
        raise CardiouqError(f"{path}: is not YAML in UTF-8 as expected: {error}") from error


def check_schema(settings: Any, schema: Mapping[str, Any], name: str) -> None:
    """Raise a ProblemsError with every key that the schema does not allow."""
    # of several missing keys each violation names all
    problems = list(dict.fromkeys(schema_problems(settings, schema)))
    if problems:
        raise ProblemsError(f"{name}: {len(problems)} problem(s):", problems)


def with_defaults(settings: Any, schema: Mapping[str, Any]) -> Any:
    """Copy settings that keep a schema, with its `default` of each key that is not there."""
    filled = deepcopy(settings)
    for _ in _Filling(schema).iter_errors(filled):
        pass  # it fills in as it goes
    return filled


def _fill_in(
    validator: Any, properties: Mapping[str, Any], found: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """What jsonschema does with `properties`, once those that have a default are there."""
    if isinstance(found, dict):
        for key, of_key in properties.items():
            if isinstance(of_key, Mapping) and "default" in of_key:
                found.setdefault(key, deepcopy(of_key["default"]))
    yield from Draft202012Validator.VALIDATORS["properties"](validator, properties, found, schema)


_Filling: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"properties": _fill_in}
)


def declaration_problem(schema: Mapping[str, Any]) -> str:
    """What is wrong with the schema of one setting, as its author declared it; "" if nothing is.

    A keyword that JSON Schema does not know limits nothing, and a default is not looked at.
    """
    known = sorted({*Draft202012Validator.VALIDATORS, "default", "description"})
    for keyword in (keyword for keyword in schema if keyword not in known):
        close = difflib.get_close_matches(keyword, known, n=1)
        return f"unknown limit `{keyword}`" + (f"; did you mean `{close[0]}`?" if close else "")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"`{'.'.join(map(str, error.absolute_path))}`: {error.message}"
    if schema.get("default") is None:  # of what may be left unset
        return ""
    default = json.loads(json.dumps(schema["default"]))  # a tuple is an array
    return "".join(f"its default{text}" for text in list(schema_problems(default, schema))[:1])


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path, schema: Mapping[str, Any]) -> Any:
    """Read a JSON file that another job made.

    Raises:
        CardiouqError: it is missing or not as it was made, or does not keep the schema.
    """
    return parse_json(read(path), path, schema)


def parse_json(content: bytes, path: Path, schema: Mapping[str, Any]) -> Any:
    """Parse a JSON file's content; a CardiouqError if it does not keep the schema."""
    try:
        found = json.loads(content, parse_constant=_refuse)
        problem = "; ".join(schema_problems(found, schema))
    except (ValueError, RecursionError) as error:
        problem = f"cannot be read as JSON ({error})"
    if problem:
        raise CardiouqError(f"{path}: {problem}; delete {to_delete(path)} and run again")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def schema_problems(settings: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """Describe every violation of a schema: the key, what was found, what is allowed."""
    for error in Validator(schema, format_checker=FORMATS).iter_errors(settings):
        keys = ".".join(str(part) for part in error.absolute_path)
        yield from (
            f"{keys}{'.' if keys and key else ''}{key}: {text}" for key, text in _say(error)
        )


def _say(error: ValidationError) -> Iterator[tuple[str, str]]:
    """(key below the error's place, text) of one violation."""
    schema: Any = error.schema
    found: Any = error.instance
    expected: Any = error.validator_value
    if error.validator == "additionalProperties":
        allowed = sorted(schema["properties"])
        for key in sorted(set(found).difference(allowed)):
            close = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            yield str(key), f"unknown key; {hint}allowed: {', '.join(allowed)}"
    elif error.validator == "required":
        for key in (key for key in expected if key not in found):
            yield str(key), "missing"
    elif error.validator == "enum":
        yield "", f"{found!r} is not one of {expected}"
    elif error.validator == "type":
        quote = (
            "; put it in quotes, as YAML takes it for no text"
            if _lost_text(found, expected)
            else ""
        )
        yield "", f"{found!r} is not of type {expected}{quote}"
    elif error.validator == "format":
        yield "", f"{found!r} is no name; expected {EXPECTED}"
    else:
        yield "", f"{error.message} ({error.validator}: {expected})"


def _lost_text(found: Any, expected: str | list[str]) -> bool:
    """Whether YAML made a number, a date, a truth value or nothing of what should be text."""
    return "string" in expected and not isinstance(found, str | list | dict)
