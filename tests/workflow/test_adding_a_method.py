"""What docs/adding-a-method.md tells a reader to do, done to the letter."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pandas as pd
import yaml

from tests.paths import ROOT

DOCUMENT = ROOT / "docs" / "adding-a-method.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_document_is_under_sixty_lines() -> None:
    assert len(TEXT.splitlines()) < 60


def test_method_added_as_the_document_says_stands_in_the_tables(
    fresh: Any,
    tmp_path: Path,
    small_study: str,
    code_blocks: Callable[[Path, str], list[str]],
    add_to: Callable[[str, str], str],
) -> None:
    [code], [added] = code_blocks(DOCUMENT, "python"), code_blocks(DOCUMENT, "yaml")
    [test] = re.findall(r"(?:^    .*\n)+", TEXT.rpartition("```")[2], re.MULTILINE)
    file, study, test_file = (
        re.findall(rf"`(my_study/{name})`", TEXT)[0]
        for name in (r"\w+\.py", r"\w+\.yaml", r"test_\w+\.py")
    )
    (tmp_path / "my_study").mkdir()
    (tmp_path / file).write_text(code, encoding="utf-8")
    (tmp_path / test_file).write_text(dedent(test), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my_study"]
    assert " ".join(command[1:3]) + " my_study" in TEXT
    tested = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert tested.returncode == 0, tested.stdout
    (tmp_path / study).write_text(add_to(small_study, added), encoding="utf-8")
    all_of_it, one_table = map(shlex.split, re.findall(r"`snakemake (.*?)`", TEXT))
    options = ["--cores", "all", "--config", f"study={study}"]
    assert all_of_it == options
    assert one_table[1:] == options
    planned = fresh.plan(one_table[0], study=study)
    assert planned.jobs["print_segmentation"] == 1
    assert "print_calibration" not in planned.jobs

    done = fresh.run(study=study)
    assert done.returncode == 0, done.stdout

    results = tmp_path / "results" / "my_study"
    [(key, block)] = yaml.safe_load(added.split("methods:")[1]).items()
    tables = results / "reporting" / "tables"
    printed = {path.stem: path.read_text(encoding="utf-8") for path in tables.glob("*.md")}
    assert "table1_dice" in printed
    del printed["aggregations"]  # has means over all methods
    assert "verdict" not in printed  # there is neither a paper nor a distortion
    for name, table in printed.items():
        assert ("Vanilla" in table, block["label"] in table) == (True, True), name
    # it is its own code that ran: so many samples, which differ
    drawn = pd.read_csv(results / "prediction" / key / "samples.csv")
    assert len(drawn) == block["samples"]
    summary = pd.read_csv(results / "evaluation" / "summary.csv").set_index(["method", "metric"])
    spread = summary.loc[(key, "mutual_information_bits"), "value"]
    assert (spread > 0).all()
    assert (tmp_path / one_table[0]).is_file()
    runs = {folder.name.rpartition("-")[0] for folder in (results / "training").iterdir()}
    assert runs == {"polynomial", block["recipe"]}
