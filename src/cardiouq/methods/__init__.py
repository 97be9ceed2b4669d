"""How each method draws its predictive distribution, one file per method."""

import importlib
import importlib.util
import pkgutil
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from cardiouq.methods.base import BaseMethod, BaseVariant, Block

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
    """
    if name in method_names():
        return importlib.import_module(f"{__name__}.{name}")
    if not name.endswith(".py") or not Path(name).is_file():
        raise KeyError(name)
    spec = importlib.util.spec_from_file_location(f"{__name__}.own.{Path(name).stem}", name)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


def method_class(name: str) -> type[BaseMethod]:
    """The class of a method; raises KeyError for an unknown name."""
    found: type[BaseMethod] = method_module(name).Method
    return found


def variant_class(name: str) -> type[BaseVariant]:
    """How a method trains; raises KeyError for an unknown name or a method that trains as any."""
    found: type[BaseVariant] | None = getattr(method_module(name), "Variant", None)
    if found is None:
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
