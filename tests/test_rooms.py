"""Modules import from their own room and earlier ones, and tests stand in the same rooms."""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGE = ROOT / "src" / "cardiouq"
TESTS = ROOT / "tests"
MOST_LINES = 500
"""Of a file of tests."""
Imports = Mapping[str, set[str]]


def name_of(file: Path) -> str:
    """A module's name below the package: `data.split`; of a package that of its folder."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(file): file for file in PACKAGE.rglob("*.py") if file.parent != PACKAGE}
MODULES |= {file.stem: file for file in PACKAGE.glob("*.py") if file.stem != "__init__"}


def imported_by(file: Path) -> Iterator[str]:
    """The package's modules that a file imports anywhere, for types alone too."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names = [(alias.name,) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [(f"{node.module}.{alias.name}", node.module) for alias in node.names]
        else:
            continue
        for may_be in names:  # what is imported from a module is a module itself, or in it
            found = [name.removeprefix("cardiouq.") for name in may_be if "cardiouq." in name]
            yield from [name for name in found if name in MODULES][:1]


def rooms() -> dict[str, int]:
    """Room -> its place in the order."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = page.split("## The package's rooms")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE)
    return {room: place for place, row in enumerate(rows) for room in re.findall(r"`(.+?)`", row)}


def place_of(module: str, order: Mapping[str, int]) -> int:
    """The place of the most particular room that a module is in."""
    return order[max((room for room in order if f"{module}.".startswith(f"{room}.")), key=len)]


def reaching_back(imports: Imports, order: Mapping[str, int]) -> list[str]:
    """Imports from a later room into an earlier one."""
    return [
        f"{module} imports {other}"
        for module, others in imports.items()
        for other in sorted(others)
        if place_of(other, order) > place_of(module, order)
    ]


@pytest.fixture(scope="module")
def imports() -> Imports:
    return {module: set(imported_by(file)) for module, file in MODULES.items()}


def test_every_room_of_the_order_has_modules_and_every_module_a_room(imports: Imports) -> None:
    order = rooms()
    assert len(imports) > 100
    found = {place_of(module, order) for module in imports}
    assert found == set(order.values())


def test_no_module_imports_from_a_later_room(imports: Imports) -> None:
    assert reaching_back(imports, rooms()) == []


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("structures", "files.tables"),
        ("data.readers.scans", "data.cases"),
        ("data.split", "study.schema"),
        ("methods.hmc", "training.train"),
        ("reporting.style", "reporting.figures.tsne"),
    ],
)
def test_import_from_a_later_room_is_seen(module: str, other: str) -> None:
    assert reaching_back({module: {"errors", other}}, rooms()) == [f"{module} imports {other}"]
    assert reaching_back({other: {"errors", module}}, rooms()) == []


def test_no_modules_import_each_other(imports: Imports) -> None:
    assert set(TopologicalSorter(imports).static_order()) >= imports.keys()


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("study.settings", "study.checks"),
        ("files.reading", "files.documents"),
        ("methods.base", "methods.swa"),
    ],
)
def test_modules_that_import_each_other_are_seen(imports: Imports, module: str, other: str) -> None:
    assert module in imports[other]
    with pytest.raises(CycleError):
        TopologicalSorter({**imports, module: {*imports[module], other}}).prepare()


def test_the_package_s_root_holds_few_modules() -> None:
    files = {file.stem for file in PACKAGE.glob("*.py")} - {"__init__", "cli"}
    assert len(files) <= 7


def test_tests_stand_in_the_rooms_of_what_they_test() -> None:
    packages = {file.parent.relative_to(PACKAGE) for file in PACKAGE.rglob("__init__.py")}
    assert len(packages) > 15
    assert {file.parent.relative_to(TESTS) for file in TESTS.rglob("test_*.py")} == {
        *packages,
        Path("workflow"),  # what starts Snakemake
    }


def test_no_file_of_tests_is_long() -> None:
    lines = {file: len(file.read_bytes().splitlines()) for file in TESTS.rglob("*.py")}
    assert len(lines) > 100
    assert [f"{file}: {n} lines" for file, n in lines.items() if n > MOST_LINES] == []
