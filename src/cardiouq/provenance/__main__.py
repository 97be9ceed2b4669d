"""Whether two results come from the same state.

python -m cardiouq.provenance A/provenance.json B/provenance.json

says what differs. It ends with 0 if the state is the same and the results are, with 1 if something
differs, with 2 if a file cannot be read.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cardiouq.logs import escape_what_the_terminal_lacks
from cardiouq.provenance.describe import flat

PARTS = ("code", "config", "data", "packages", "device")
"""Of the state, in the order of printing."""


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[str]]:
    """Part of the state, and `results` -> what differs in it, in words."""
    pairs = {part: (one["state"][part], other["state"][part]) for part in PARTS}
    pairs["results"] = (one["results"], other["results"])
    found = {}
    for part, (first, second) in pairs.items():
        a, b = dict(flat(first)), dict(flat(second))
        found[part] = [
            f"{name}: {a.get(name, 'nothing')} -> {b.get(name, 'nothing')}"
            for name in dict.fromkeys([*a, *b])
            # a commit that changes none of the code is the same code
            if a.get(name) != b.get(name) and (part, name) != ("code", "version")
        ]
    return found


def verdict(found: Mapping[str, Sequence[str]]) -> str:
    """What differences mean, in one sentence."""
    same_state, same_results = not any(found[part] for part in PARTS), not found["results"]
    if same_state and same_results:
        return "The same state and the same results."
    if same_state:
        return "The same state, yet other results: something decides them that is not recorded."
    return f"Another state with {'the same' if same_results else 'other'} results."


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two studies' provenance."""
    parser = argparse.ArgumentParser(description="Whether two results come from the same state.")
    parser.add_argument("files", nargs=2, type=Path, metavar="provenance.json")
    files = parser.parse_args(arguments).files
    escape_what_the_terminal_lacks()
    try:
        one, other = (json.loads(file.read_text(encoding="utf-8")) for file in files)
        found = differences(one, other)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"ERROR: {error!r}: give two files that write_provenance wrote", file=sys.stderr)
        return 2
    versions = [text["state"]["code"]["version"] for text in (one, other)]
    for part, lines in found.items():
        note = f" ({versions[0]} -> {versions[1]})" if part == "code" else ""
        print(f"{part}{note}: {f'{len(lines)} difference(s)' if lines else 'the same'}")
        print(*(f"  {line}\n" for line in lines), sep="", end="")
    print(verdict(found))
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())
