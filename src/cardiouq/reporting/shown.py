"""Texts and settings of a study that others may see, without folders, escaped for the report.

Snakemake's report takes captions for reStructuredText, and copies the parameters of rules into a
script element. So texts of the user's are escaped in parameters, and what scripts draw and print is
given back as it was written.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path, PurePath
from typing import Any

from cardiouq.provenance.record import sha256


def escaped(value: Any) -> Any:
    """Escape texts of a rule's parameter, so that they mean nothing to reStructuredText and HTML.

    All but letters, digits and spaces stands behind a backslash, so that no `</script>` is left.
    Keys stay.
    """
    return _mapped(value, lambda text: re.sub(r"([^\w\s]|_)", r"\\\1", text))


def escaped_labels(blocks: Mapping[str, Mapping[str, Any]], key: str = "label") -> dict[str, str]:
    """Labels of a study's methods or test sets by name, escaped, or another text of theirs."""
    return {name: escaped(block[key]) for name, block in blocks.items() if block.get(key)}


def unescaped(value: Any) -> Any:
    """Undo `escaped`; a text that holds no backslash is left alone."""
    return _mapped(value, lambda text: re.sub(r"\\(.)", r"\1", text))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """A value with all texts in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(below, change) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(below, change) for below in value]
    return value


def shareable_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a study without folders: of an own method its file, of a model the last folder's
    name, of own data nothing."""
    shown = deepcopy(dict(settings))
    for block in shown["datasets"].values():
        if "/" in block["source"]:
            block["source"] = "a folder"
    for block, key in _own_methods(shown):
        block[key] = PurePath(block[key]).name
    for block in shown["methods"].values():
        if "model" in block:
            block["model"] = PurePath(block["model"]).name
    return shown


def own_code(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """File of the user's own method -> its hash; nothing if there is none."""
    files = sorted({Path(block[key]) for block, key in _own_methods(settings)})
    hashes = {file.name: sha256(file.read_bytes())[:16] for file in files}
    return {"own code": hashes} if hashes else {}


def _own_methods(settings: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where a study names a file: the block and its key."""
    named = [(block, "method") for block in settings["methods"].values()]
    recipes = settings["recipes"].values()
    named += [(block["variant"], "name") for block in recipes if "variant" in block]
    yield from ((block, key) for block, key in named if block[key].endswith(".py"))
