"""What Snakemake tells of the rules, whichever Snakefile it is given."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.paths import TINY

SNAKEFILES = ["Snakefile", "workflow/Snakefile"]


@pytest.mark.parametrize("snakefile", SNAKEFILES)
def test_every_rule_is_explained_in_one_sentence(fresh: Any, snakefile: str) -> None:
    """And is made by either Snakefile, all of them if none is named."""
    checkout = replace(fresh, study=str(TINY))
    told = checkout.run("--list-rules", "--snakefile", str(fresh.repository / snakefile)).stdout
    rules = dict(re.findall(r"^(\w+)(?: \((.*)\))?$", told, re.MULTILINE))
    assert len(rules) > 40
    assert [rule for rule, text in rules.items() if not re.fullmatch(r"[A-Z][^.]+\.", text)] == []
    assert len(set(rules.values())) == len(rules)
    planned = checkout.plan("--snakefile", str(fresh.repository / snakefile)).jobs
    assert planned.keys() == rules.keys() - {"fetch_acdc", "apply"}


@pytest.mark.parametrize("snakefile", SNAKEFILES)
def test_linter_finds_nothing(fresh: Any, snakefile: str) -> None:
    done = fresh.run("--lint", "--snakefile", str(fresh.repository / snakefile), study="demo")
    assert "your workflow is in a good condition" in done.stdout


def told_of_each_rule(checkout: Any, folder: Path, what: str) -> list[list[str]]:
    """Words of the tiny study's rules, from code that names a rule `each`."""
    snakefile = str(checkout.repository / "Snakefile")
    telling = folder / "telling.smk"
    telling.write_text(
        f"workflow.include({snakefile!r}, overwrite_default_target=True)\n"
        f"for each in workflow.rules:\n    print('RULE', {what}, sep='\\t')\n",
        encoding="utf-8",
    )
    options = ("--list-rules", "--snakefile", str(telling))
    told = checkout.run(*options, study=str(TINY)).stdout
    return [line.split("\t")[1:] for line in told.splitlines() if line.startswith("RULE\t")]


def test_jobs_that_print_and_draw_are_one_on_a_cluster(fresh: Any, tmp_path: Path) -> None:
    """And every job has the conda environment."""
    # `group` is of clusters
    rules = told_of_each_rule(fresh, tmp_path, "each.name, each._group, each.conda_env")
    assert {path for name, _, path in rules if name not in ("all", "apply")} == {
        str(fresh.repository / "envs/environment.yaml")
    }
    grouped = {name for name, group, _ in rules if group == "reporting"}
    reporting = re.compile("print_|figure_|data_page|view_|write_")
    assert grouped == {name for name, *_ in rules if reporting.match(name)}


def test_forests_intervals_and_shift_are_learnt_from_what_is_in_domain(
    fresh: Any, tmp_path: Path
) -> None:
    """In a study whose other test sets are none of it."""
    asked = "each.params.get('asked', {}).get('learnt_from', [])"
    what = f"each.name, *each.params.get('in_domain', {asked})"
    told = {name: of for name, *of in told_of_each_rule(fresh, tmp_path, what) if of}
    assert told == {rule: ["phantom-val"] for rule in ("evaluate", "conformal", "detect_shift")}


def test_paper_s_study_plans_seven_trainings(fresh: Any, tmp_path: Path) -> None:
    for layout in ("acdc", "mnms"):
        (tmp_path / layout).mkdir()
    roots = [f"{layout}_root={tmp_path / layout}" for layout in ("acdc", "mnms")]
    planned = fresh.plan(study="zhao2022", config=roots)
    assert planned.trainings == ["cyclical 0", "dropout 0", *(f"polynomial {k}" for k in range(5))]
    assert planned.jobs["train"] == 7
    assert planned.jobs["predict"] == planned.jobs["evaluate"] == 7
    assert "make_phantom" not in planned.jobs


def test_jobs_to_start_are_looked_for_when_one_has_ended_and_not_all_the_time(
    fresh: Any, tmp_path: Path
) -> None:
    """A look asks for the size of every input: of hundreds of jobs it kept a core busy."""
    snakefile = str(fresh.repository / "Snakefile")
    waiting = tmp_path / "waiting.smk"
    waiting.write_text(
        f"workflow.include({snakefile!r}, overwrite_default_target=True)\n"
        "rule wait:\n    output: touch('waited-{number}')\n    shell: 'sleep 0.6'\n",
        encoding="utf-8",
    )
    waited = [f"waited-{number}" for number in range(4)]
    options = ("--verbose", "--snakefile", str(waiting), "--cores", "1", *waited)
    told = fresh.run(*options, study=str(TINY), directory=tmp_path).stdout
    assert told.count("Finished jobid") == len(waited)
    assert told.count("Ready jobs: ") == len(waited)
