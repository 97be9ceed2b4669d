"""What the README shows is what the workflow has."""

import re
from pathlib import Path

from cardiouq.reporting.tables.registry import TABLES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_rule_graph_names_every_rule_and_no_other() -> None:
    rules = {
        name
        for file in (ROOT / "workflow/rules").glob("*.smk")
        for name in re.findall(r"^\s*rule (\w+):", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    rules |= {f"print_{table}" for table in TABLES}  # made in a loop
    graph = README.split("```mermaid")[1].split("```")[0]
    rooms = set(re.findall(r"subgraph (\w+)", graph))
    drawn = set(re.findall(r"[a-z0-9_]+", graph)) - rooms - {"flowchart", "subgraph", "end"}
    assert drawn == rules


def test_every_linked_file_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_commands_without_make_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("-m venv", "envs/requirements.lock", "--no-deps", "--report", "-m pytest -n 2"):
        assert command in makefile
        assert command in README
