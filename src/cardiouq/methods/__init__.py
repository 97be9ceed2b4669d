"""How each method draws its predictive distribution, one file per method."""

import importlib
import importlib.util
import pkgutil
import sys
from functools import cache
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import TypeVar

from cardiouq.errors import CardiouqError
from cardiouq.methods.base import BaseMethod, BaseVariant, Block

Kind = TypeVar("Kind", BaseMethod, BaseVariant)

COMMON_KEYS = ("method", "label", "recipe", "repeats", "colour")
"""Keys of a method's block in a study that are not the method's own settings."""


def method_names() -> list[str]:
    """Names of the methods in this folder, as a study's `method:` key spells them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")


@cache
def method_module(name: str) -> ModuleType:
    """The file of a method: by its name in this folder, or by the path of a file of the user's.

    Raises:
        KeyError: for a name that is neither.
        CardiouqError: for a file of the user's that Python cannot run.
    """
    if name in method_names():
        return importlib.import_module(f"{__name__}.{name}")
    if not name.endswith(".py") or not Path(name).is_file():
        raise KeyError(name)
    spec = importlib.util.spec_from_file_location(f"{__name__}.own.{Path(name).stem}", name)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their annotations
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        lines = [f.lineno for f in extract_tb(error.__traceback__) if f.filename == spec.origin]
        raise CardiouqError(
            f"{name}{f', line {lines[-1]}' if lines else ''}: {type(error).__name__}: {error}; "
            "expected a file that Python can run, as the one of docs/adding-a-method.md"
        ) from error
    return module


def method_class(name: str) -> type[BaseMethod]:
    """The class of a method; raises KeyError for an unknown name or a file without one."""
    return _class_of(name, "Method", BaseMethod)


def variant_class(name: str) -> type[BaseVariant]:
    """How a method trains; raises KeyError for an unknown name or a method that trains as any."""
    return _class_of(name, "Variant", BaseVariant)


def _class_of(name: str, called: str, base: type[Kind]) -> type[Kind]:
    """The class of that name in a method's file, if it is one of its kind."""
    found = getattr(method_module(name), called, None)
    if not isinstance(found, type) or not issubclass(found, base):
        raise KeyError(name)
    return found


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
