"""What the README and the other documents show is what the repository has."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cardiouq.reporting.tables.registry import TABLES
from tests.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    page.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "docs/results/**/*.md", "config/**/*.md", "models/**/*.md")
    for page in sorted(ROOT.glob(pattern))
]


def anchors_of(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_rule_graph_names_every_rule_and_no_other() -> None:
    rules = {
        name
        for file in (ROOT / "workflow/rules").glob("*.smk")
        for name in re.findall(r"^\s*rule (\w+):", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    rules |= {f"print_{table}" for table in TABLES}  # made in a loop
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    graph = page.split("```mermaid")[1].split("```")[0]
    rooms = set(re.findall(r"subgraph (\w+)", graph))
    drawn = set(re.findall(r"[a-z0-9_]+", graph)) - rooms - {"flowchart", "subgraph", "end"}
    assert drawn == rules


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_links_to_exists(page: Path) -> None:
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            missing.append(link)
    assert missing == []


def test_the_index_links_to_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"}
    assert pages <= set(re.findall(r"\]\(([\w-]+\.md)\)", index))


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/adding-*.md")), ids=lambda page: page.stem)
def test_examples_of_a_page_are_as_the_linter_and_the_formatter_want_them(page: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    modules = [block for block in blocks if "import " in block]
    assert modules
    for module in modules:
        for command in (["check"], ["format", "--check"]):
            ruff = [
                sys.executable,
                "-m",
                "ruff",
                *command,
                "--stdin-filename",
                "src/example.py",
                "-",
            ]
            done = subprocess.run(
                ruff, cwd=ROOT, input=module, capture_output=True, encoding="utf-8"
            )
            assert done.returncode == 0, done.stdout


def test_the_readme_begins_with_what_it_is_and_the_two_commands() -> None:
    assert "Snakemake workflow" in README[:200]
    assert re.findall(r"^    make (\w+)", README, re.MULTILINE) == ["demo", "test"]


def test_help_explains_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = " ".join(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)).split()
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, encoding="utf-8").stdout
    explained = re.findall(r"^  make ([\w-]+) +\S", told, re.MULTILINE)
    assert sorted(explained) == sorted(phony)


def test_the_commands_without_make_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("-m venv", "envs/requirements.lock", "--no-deps", "-m pytest -n 2"):
        assert command in makefile
        assert command in README


def test_catalog_of_workflows_finds_what_it_demands(repository: Path) -> None:
    """https://github.com/snakemake/snakemake-workflow-catalog, "Standardized usage workflows"."""
    named = (repository / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8")
    usage = yaml.safe_load(named)["usage"]
    assert {"desc", "flags"} == usage["mandatory-flags"].keys()
    assert usage["software-stack-deployment"] == {"conda": True, "report": True}
    assert (repository / "workflow/Snakefile").is_file()
    assert (repository / "config/README.md").is_file()
