"""The tables of config/README.md, made from the schemas by `make settings`.

A table stands between a comment that says of which settings it is and `<!-- end of settings -->`:
`<!-- settings of study: split plan -->` are those below two keys of a study,
`<!-- settings of study at recipes.<name> -->` those of one block, `<!-- settings of methods -->`
and `<!-- settings of variants -->` those that the methods' files declare.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from cardiouq.methods import method_class, method_names, variant_class
from cardiouq.methods.settings import settings_schema
from cardiouq.provenance.record import repository
from cardiouq.study.schema import Schema, block_of, schema_of

TABLE = re.compile(
    r"(<!-- settings of (?P<document>\w+)( at (?P<place>\S+))?(: (?P<keys>.+?))? -->\n)"
    r".*?(?=<!-- end of settings -->)",
    re.DOTALL,
)
HEADINGS = ["key", "meaning", "value", "default"]
WORDS = {"string": "text", "object": "mapping", "boolean": "`true` or `false`"}
"""Type of JSON -> what a table calls it; numbers are called as JSON has them."""
LIMITS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "to",
    "exclusiveMaximum": "to below",
}


def with_tables(page: str) -> str:
    """A page with each of its tables as the schemas have it."""
    return TABLE.sub(lambda found: found[1] + _table(**found.groupdict()), page)


def _table(document: Any, place: str | None, keys: str | None) -> str:
    """The Markdown of one table: a row for each setting that has a meaning."""
    if document in ("methods", "variants"):
        rows = _rows_of_methods(document)
    else:
        schema = block_of(schema_of(document), *(place.split(".") if place else ()))
        if keys:
            schema = schema | {"properties": {key: block_of(schema, key) for key in keys.split()}}
        rows = _rows(schema)
    lines = [HEADINGS, ["---"] * len(HEADINGS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows_of_methods(kind: str) -> Iterator[list[str]]:
    """The settings of each method, or of each variant, or that it has none of its own."""
    for name in method_names():
        try:
            found = method_class(name) if kind == "methods" else variant_class(name)
        except KeyError:  # most methods train as any
            continue
        home = found.__module__.rpartition(".")[2]
        if home != name:
            yield [f"`{name}`", f"has those of `{home}`", "", ""]
        elif settings := settings_schema(found):
            yield from _rows({"properties": settings}, f"{name}.")
        else:
            yield [f"`{name}`", "has none", "", ""]


def _rows(schema: Schema, above: str = "") -> Iterator[list[str]]:
    """Key, meaning, value and default of each setting below a block of a schema."""
    keys, required = _keys_of(schema)
    for key, block in keys.items():
        if "description" in block:
            default = block.get("default")  # None cannot be written
            default = "" if default is None else f"`{_spelt(default)}`"
            default = "required" if key in required else default
            yield [f"`{above}{key}`", block["description"], _value(block), default]
        yield from _rows(block, f"{above}{key}.")
    if isinstance(below := schema.get("additionalProperties"), dict):
        yield from _rows(below, f"{above}<name>.")


def _keys_of(schema: Schema) -> tuple[dict[str, Schema], set[str]]:
    """The keys of a block with what is said of them in any branch, and those that are required."""
    keys, required = dict(schema.get("properties", {})), set(schema.get("required", ()))
    for branch in (schema[name] for name in ("then", "else") if name in schema):
        further, needed = _keys_of(branch)
        required |= needed
        for key, block in further.items():
            if isinstance(block, dict):
                keys[key] = block | keys.get(key, {})
    return keys, required


def _value(block: Schema) -> str:
    """What a setting may be, in words: `2 numbers above 0`."""
    if "anyOf" in block:
        shared = {name: block[name] for name in LIMITS if name in block}
        return " or ".join(_value(shared | option) for option in block["anyOf"])
    if "enum" in block:
        *others, last = (f"`{_spelt(value)}`" for value in block["enum"])
        return f"{', '.join(others)} or {last}" if others else last
    if isinstance(block["type"], list):
        return " or ".join(_value(block | {"type": kind}) for kind in block["type"])
    kind: str = block["type"]
    if kind == "null":
        return "`null`"
    if kind == "array":
        of_items = _value(block["items"])
        counts = dict.fromkeys(str(block[end]) for end in ("minItems", "maxItems") if end in block)
        count = f"{' to '.join(counts)} " if "maxItems" in block else ""
        return re.sub(r"^\w+", rf"{count}\g<0>s", of_items)
    limits = [f"{word} {block[name]}" for name, word in LIMITS.items() if name in block]
    return " ".join([WORDS.get(kind, kind), *limits])


def _spelt(value: Any) -> str:
    """A value as YAML has it."""
    return json.dumps(value).strip('"')


def main() -> None:
    """Write the tables of config/README.md anew."""
    page = repository() / "config" / "README.md"
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
