"""A rule follows the code that its script runs, all of it and no more."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

from cardiouq.provenance.code import SCRIPTS, SOURCE
from cardiouq.reporting.tables.registry import TABLES
from tests.paths import TINY

FOLLOW_NO_CODE = {
    "all",
    "apply",
    "fetch_acdc",
    "make_phantom",
    "list_cases",
    "split_subjects",
    "make_plan",
    "preprocess",
    "train",
    "predict",
    "predict_repeat",
}
"""Rules before predictions, which are not made again for changed code, and those of no study."""
VOXELS = {"distorted", "distortions", "stretch", "preprocessing", "noise", "readers/scans"}
"""Modules of the data room that distorted scans depend on, for whose change they are predicted
again."""
WALK = """
workflow.include({snakefile!r}, overwrite_default_target=True)

import json
from cardiouq.provenance import code

FOLLOWED = {{
    each.name: each.params.code for each in workflow.rules if "code" in each.params.keys()
}}


def codes():
    code._hash_of.cache_clear()
    return {{name: digest(None) for name, digest in FOLLOWED.items()}}


rules_of, before = {{}}, codes()
for module in sorted((ROOT / "src").rglob("*.py")):
    with module.open("a", encoding="utf-8") as stream:
        stream.write("# new\\n")
    after = codes()
    changed = [name for name in after if after[name] != before[name]]
    rules_of[str(module.relative_to(ROOT / "src"))] = changed
    before = after
scripts = {{
    each.name: [each.script and Path(each.script).stem, each.params.get("table")]
    for each in workflow.rules
}}
Path("walked.json").write_text(json.dumps([scripts, rules_of]), encoding="utf-8")
"""
"""A Snakefile that changes each module of a checkout and notes which rules' parameters change."""


class Walked(NamedTuple):
    """What a walk over the rules of the tiny study found."""

    scripts: dict[str, tuple[str | None, str | None]]
    """Rule -> its script and, of a table's, the table."""
    rules_of: dict[str, list[str]]
    """Module -> the rules that are done again if it changes."""

    def modules_of(self, rule: str) -> set[str]:
        return {module for module, rules in self.rules_of.items() if rule in rules}


@pytest.fixture(scope="module")
def walked(
    tmp_path_factory: pytest.TempPathFactory, copy_repository: Callable[[Path], Path]
) -> Walked:
    home = tmp_path_factory.mktemp("walked")
    snakefile = copy_repository(home / "repository") / "Snakefile"
    (home / "walk.smk").write_text(WALK.format(snakefile=str(snakefile)), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", "walk.smk"]
    command += ["--list-rules", "--config", f"study={TINY}"]
    done = subprocess.run(
        command,
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(snakefile.parent / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout
    return Walked(*json.loads((home / "walked.json").read_text(encoding="utf-8")))


@contextmanager
def no_module_loaded() -> Iterator[None]:
    """The package as a new process has it, and afterwards as it was."""
    kept = {name: module for name, module in sys.modules.items() if of_package(name)}
    try:
        for name in kept:
            del sys.modules[name]
        yield
    finally:
        for name in list(filter(of_package, sys.modules)):
            del sys.modules[name]
        sys.modules.update(kept)


def of_package(module: str) -> bool:
    return module.partition(".")[0] == "cardiouq"


def loaded_by(script: str, modules: Sequence[str]) -> set[str]:
    """Files of the package that Python loads for a script's imports and for further modules."""
    body = ast.parse((SCRIPTS / f"{script}.py").read_bytes()).body
    lines = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    with no_module_loaded():
        exec("\n".join(lines), {})
        for name in modules:
            import_module(name)
        files = [sys.modules[name].__file__ for name in filter(of_package, sys.modules)]
    return {str(Path(str(file)).relative_to(SOURCE)) for file in files}


def test_every_rule_after_predictions_follows_code(walked: Walked) -> None:
    following = {rule for rules in walked.rules_of.values() for rule in rules}
    assert walked.scripts.keys() - following == FOLLOW_NO_CODE


def test_modules_that_a_rule_loads_and_no_others_do_it_again(walked: Walked) -> None:
    """Those that Python loads, were the script run; a table's own is named by a parameter."""
    assert len(walked.rules_of) > 100
    wrong = {}
    for rule in walked.scripts.keys() - FOLLOW_NO_CODE - {"distort"}:
        script, table = walked.scripts[rule]
        loaded = loaded_by(str(script), [f"cardiouq.reporting.tables.{table}"] if table else [])
        if different := walked.modules_of(rule) ^ loaded:
            wrong[rule] = sorted(different)
    assert wrong == {}


def test_scans_are_distorted_anew_for_what_their_voxels_depend_on(walked: Walked) -> None:
    followed = walked.modules_of("distort")
    assert followed == {f"cardiouq/data/{module}.py" for module in VOXELS}
    assert followed < loaded_by("distort", [])


@pytest.mark.parametrize(
    ("module", "redone"),
    [
        ("reporting/tables/ranks.py", {"print_ranks"}),
        ("reporting/tables/repeats.py", {"print_repeats"}),
        ("reporting/tables/judging.py", {"print_verdict", "write_report"}),
        ("reporting/report/page.py", {"write_report"}),
        ("reporting/tables/cost.py", {"print_cost"}),
        ("reporting/tables/registry.py", set()),
        ("reporting/figures/tsne.py", {"figure_tsne"}),
        ("reporting/figures/quality_control.py", {"figure_quality_control"}),
        ("reporting/data_page.py", {"data_page"}),
        ("reporting/writing.py", {f"print_{table}" for table in (*TABLES, "cost")}),
        ("training/train.py", set()),
        ("data/readers/adapters.py", set()),
        ("data/readers/layouts.py", set()),
        ("data/readers/own.py", set()),
        ("data/cases.py", set()),
    ],
)
def test_module_does_again_what_is_made_by_it(
    walked: Walked, module: str, redone: set[str]
) -> None:
    assert set(walked.rules_of[f"cardiouq/{module}"]) == redone
