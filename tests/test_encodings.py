"""Every text that is read or written names its encoding."""

import ast

from tests.paths import ROOT


def opens_a_text(call: ast.Call) -> bool:
    """A method's call, as ruff tells whether it names an encoding only where it knows the type."""
    if any(keyword.arg == "text" for keyword in call.keywords):
        return True
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    mode = call.args[0] if call.args else ast.Constant("r")
    of_text = isinstance(mode, ast.Constant) and "b" not in str(mode.value)
    return name in ("read_text", "write_text", "FileHandler") or (name == "open" and of_text)


def test_every_text_names_its_encoding() -> None:
    named, unnamed = 0, []
    for folder in ("src", "workflow", "benchmarks", "examples", "tests"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and opens_a_text(node):
                    if "encoding" in {keyword.arg for keyword in node.keywords}:
                        named += 1
                    else:
                        unnamed.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert unnamed == []
    assert named > 100
