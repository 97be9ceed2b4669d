"""How each method draws its predictive distribution, one file per method."""

import importlib
import importlib.util
import pkgutil
import re
import sys
from functools import cache
from inspect import getsourcefile, getsourcelines
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any, TypeVar

from cardiouq.errors import CardiouqError
from cardiouq.methods.base import BaseMethod, BaseVariant, Block

Kind = TypeVar("Kind", BaseMethod, BaseVariant)

INTERFACE = {"base", "settings"}
"""Files of this folder that are no method."""
COMMON_KEYS = ("method", "label", "recipe", "repeats", "reading_of", "colour")
"""Keys of a method's block in a study that are not the method's own settings."""


def method_names() -> list[str]:
    """Names of the methods in this folder, as a study's `method:` key spells them."""
    return sorted({module.name for module in pkgutil.iter_modules(__path__)} - INTERFACE)


@cache
def method_module(name: str) -> ModuleType:
    """The file of a method: by its name in this folder, or by the path of a file of the user's.

    Raises:
        KeyError: for a name that is neither.
        CardiouqError: for a file of the user's that is missing, or that Python cannot run.
    """
    if name in method_names():
        return importlib.import_module(f"{__name__}.{name}")
    if not is_own(name):
        raise KeyError(name)
    if not Path(name).is_file():
        raise CardiouqError(f"{name}: missing; expected a file of a method, or one of its names")
    spec = importlib.util.spec_from_file_location(f"{__name__}.own.{Path(name).stem}", name)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their annotations
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CardiouqError(
            f"{raised_in(name, error)}; expected a file that Python can run, as the one of "
            "docs/adding-a-method.md"
        ) from error
    return module


def is_own(name: str) -> bool:
    """Whether a method is named by the path of a file of the user's."""
    return name.endswith(".py")


def raised_in(name: str, error: Exception) -> str:
    """An error that code in a method's file raised, with the line that it came by."""
    if isinstance(error, SyntaxError):
        line, said = error.lineno, error.msg
    else:
        file = str(Path(name).resolve())
        frames = extract_tb(error.__traceback__)
        lines = [f.lineno for f in frames if str(Path(f.filename).resolve()) == file]
        line, said = (lines or [None])[-1], str(error)
    return f"{name}{f', line {line}' if line else ''}: {type(error).__name__}: {said}"


def place_of(kind: type[BaseMethod] | type[BaseVariant], of_field: str) -> str:
    """Where a field of a class in the user's file is, or else the class: `mine.py, line 7`."""
    lines, first = getsourcelines(kind)
    is_field = re.compile(rf"\s+{re.escape(of_field)}\s*[:=]")
    offset = next((n for n, line in enumerate(lines) if is_field.match(line)), 0)
    return f"{getsourcefile(kind)}, line {first + offset}"


def method_class(name: str) -> type[BaseMethod]:
    """The class of a method.

    Raises:
        KeyError: for an unknown name.
        CardiouqError: for a file of the user's that is missing, cannot be run or has no such class.
    """
    return _class_of(name, "Method", BaseMethod)


def variant_class(name: str) -> type[BaseVariant]:
    """How a method trains; raises as `method_class`, and KeyError for one that trains as any."""
    return _class_of(name, "Variant", BaseVariant)


def _class_of(name: str, called: str, base: type[Kind]) -> type[Kind]:
    """The class of that name in a method's file, if it is one of its kind."""
    found = getattr(method_module(name), called, None)
    if isinstance(found, type) and issubclass(found, base):
        return found
    if is_own(name):
        raise CardiouqError(
            f"{name}: {'nothing is called' if found is None else f'{found!r} is called'} {called}; "
            f"expected `class {called}({base.__name__}):`, as in docs/adding-a-method.md"
        )
    raise KeyError(name)


def predicted_by(block: Block) -> dict[str, Any]:
    """What a prediction depends on in a method's block of a study: the method and its settings."""
    return {key: v for key, v in block.items() if key == "method" or key not in COMMON_KEYS}


def build_method(block: Block) -> BaseMethod:
    """The method that a study's (already validated) block describes."""
    settings = {key: value for key, value in block.items() if key not in COMMON_KEYS}
    return method_class(block["method"])(**settings)


def build_variant(block: Block | None) -> BaseVariant:
    """The variant that a recipe's (already validated) `variant` describes; None: the plain one."""
    if block is None:
        return BaseVariant()
    settings = {key: value for key, value in block.items() if key != "name"}
    return variant_class(block["name"])(**settings)
