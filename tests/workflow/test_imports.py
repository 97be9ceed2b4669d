"""A rule follows the code that its script imports, all of it and no more."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardiouq.provenance import code
from cardiouq.provenance.code import SCRIPTS, SOURCE, code_of, modules_of

RULES = re.compile(r"^ *rule\b.*?(?=^ *rule\b|\Z)", re.DOTALL | re.MULTILINE)
EXPENSIVE = {"make_phantom", "list_cases", "split_subjects", "make_plan", "preprocess", "distort"}
"""Scripts before predictions, which are not made again for changed code; `distort` for a part."""
LOADED = """
import sys
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("cardiouq")))
"""


def rules_with_scripts(repository: Path) -> dict[str, tuple[str, str]]:
    """Beginning of each rule -> its script, and the one that its parameter follows."""
    found = {}
    for file in (repository / "workflow" / "rules").glob("*.smk"):
        for rule in RULES.findall(file.read_text(encoding="utf-8")):
            if script := re.search(r"scripts/(\w+)\.py\"\n", rule):
                followed = re.search(r'code=code_of\(\s*"(\w+)"', rule)
                name = f"{file.name} {rule.strip().split(':')[0]} {script[1]}"
                found[name] = (script[1], followed[1] if followed else "")
    return found


def test_every_rule_of_the_cheap_rooms_follows_its_own_script(repository: Path) -> None:
    found = rules_with_scripts(repository)
    assert len(found) > 25
    cheap = {name: pair for name, pair in found.items() if pair[0] not in EXPENSIVE}
    assert not {name: pair for name, pair in cheap.items() if pair[0] != pair[1]}
    assert {pair[1] for pair in found.values() if pair[0] in EXPENSIVE} == {""}


@pytest.mark.parametrize("script", ["figure_tsne", "data_page", "check_data", "distort", "compare"])
def test_modules_are_those_that_python_loads(script: str) -> None:
    body = ast.parse((SCRIPTS / f"{script}.py").read_bytes()).body
    lines = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    loaded = subprocess.run(
        [sys.executable, "-c", "\n".join([*lines, LOADED])],
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout.split()
    assert len(loaded) > 5
    assert {Path(file) for file in loaded} <= set(modules_of(script))


def test_figure_follows_its_reporting_modules_and_no_other_figure() -> None:
    names = {path.stem for path in modules_of("figure_tsne")}
    assert {"tsne", "style", "checkpoints", "seeds"} <= names  # through others too
    assert {"reliability", "verdict", "printing"}.isdisjoint(names)
    assert "printing" in {path.stem for path in modules_of("data_page")}
    assert {"cases", "split"} <= {path.stem for path in modules_of("check_data")}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The code, to be changed."""
    shutil.copytree(SOURCE / "cardiouq", tmp_path / "src" / "cardiouq")
    shutil.copytree(SCRIPTS, tmp_path / "scripts")
    monkeypatch.setattr(code, "SOURCE", tmp_path / "src")
    monkeypatch.setattr(code, "SCRIPTS", tmp_path / "scripts")
    remembered = (code._imported_by, code._files_of, code._hash_of)
    for function in remembered:
        function.cache_clear()
    yield tmp_path
    for function in remembered:
        function.cache_clear()


def test_changed_module_changes_the_rules_that_import_it_alone(copy: Path) -> None:
    scripts = {path.stem: modules_of(path.stem) for path in (copy / "scripts").glob("*.py")}
    codes = {script: code_of(script)(None) for script in scripts}
    modules = sorted((copy / "src").rglob("*.py"))
    assert len(modules) > 80
    for module in modules:
        with module.open("a", encoding="utf-8") as stream:
            stream.write("\n# new\n")
        code._hash_of.cache_clear()
        now = {script: code_of(script)(None) for script in scripts}
        changed = {script for script in scripts if now[script] != codes[script]}
        assert changed == {script for script, files in scripts.items() if module in files}, module
        codes = now


def test_script_and_further_files_are_followed_by_content(copy: Path) -> None:
    caption = copy / "caption.rst"
    caption.write_text("one", encoding="utf-8")
    seen = set()
    for file, text in (("caption.rst", "two"), ("scripts/data_page.py", "# other"), ("x", "")):
        code._hash_of.cache_clear()
        seen.add(code_of("data_page", caption)(None))
        (copy / file).write_text(text, encoding="utf-8")
    assert len(seen) == 3
