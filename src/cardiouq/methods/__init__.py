"""How each method draws its predictive distribution, one file per method."""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from cardiouq.methods.base import BaseMethod

COMMON_KEYS = ("method", "label", "recipe")
"""Keys of a method's block in a study that are not the method's own settings."""


def method_names() -> list[str]:
    """Names of the methods in this folder, as a study's `method:` key spells them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")


def method_class(name: str) -> type[BaseMethod]:
    """The class of a method; raises KeyError for an unknown name."""
    if name not in method_names():
        raise KeyError(name)
    found: type[BaseMethod] = importlib.import_module(f"{__name__}.{name}").Method
    return found


def build_method(block: Mapping[str, Any]) -> BaseMethod:
    """The method that a study's (already validated) block describes."""
    settings = {key: value for key, value in block.items() if key not in COMMON_KEYS}
    return method_class(block["method"])(**settings)
