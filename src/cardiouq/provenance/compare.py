"""Comparison of two studies' results: whether they come from one state (`cardiouq compare`)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cardiouq.errors import CardiouqError
from cardiouq.files.documents import schema_problems
from cardiouq.provenance.describe import flattened

PARTS = ("code", "config", "data", "packages", "device")
"""Parts of the state, in the order of printing."""
SCHEMA = {
    "type": "object",
    "required": ["state", "results"],
    "properties": {
        "state": {
            "type": "object",
            "required": PARTS,
            "properties": {"code": {"type": "object", "required": ["version"]}},
        }
    },
}
"""JSON schema of what a comparison reads of a `provenance.json`."""


def read_provenance(file: Path) -> Mapping[str, Any]:
    """Read a study's `provenance.json`, or the one in a folder of results.

    Raises:
        CardiouqError: if there is no such file, or it is not what `write_provenance` writes.
    """
    file = file / "provenance.json" if file.is_dir() else file
    try:
        found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        problem = "; ".join(schema_problems(found, SCHEMA))
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({error})"
    if problem:
        raise CardiouqError(
            f"{file}: {problem}; expected the results/<study>/provenance.json of a finished study"
        )
    return found


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[str]]:
    """Describe what differs in each part of the state, and in the results."""
    pairs = {part: (one["state"][part], other["state"][part]) for part in PARTS}
    pairs["results"] = (one["results"], other["results"])
    found = {}
    for part, (first, second) in pairs.items():
        a, b = dict(flattened(first)), dict(flattened(second))
        found[part] = [
            f"{name}: {a.get(name, 'nothing')} -> {b.get(name, 'nothing')}"
            for name in dict.fromkeys([*a, *b])
            # a commit that changes none of the code is the same code
            if a.get(name) != b.get(name) and (part, name) != ("code", "version")
        ]
    return found


def conclusion(found: Mapping[str, Sequence[str]]) -> str:
    """Conclude in one sentence what differences mean."""
    same_state, same_results = not any(found[part] for part in PARTS), not found["results"]
    if same_state and same_results:
        return "The same state and the same results."
    if same_state:
        return "The same state, yet other results: something decides them that is not recorded."
    return f"Another state with {'the same' if same_results else 'other'} results."


def comparison(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines to print: each part with its differences, and the conclusion."""
    found = differences(one, other)
    for part, lines in found.items():
        versions = f" ({_version(one)} -> {_version(other)})" if part == "code" else ""
        yield f"{part}{versions}: {f'{len(lines)} difference(s)' if lines else 'the same'}"
        yield from (f"  {line}" for line in lines)
    yield conclusion(found)


def _version(provenance: Mapping[str, Any]) -> str:
    """What git calls the commit."""
    return str(provenance["state"]["code"]["version"])
