"""What docs/adding-a-dataset.md tells a reader to do, done to the letter."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cardiouq.data.case_table import read_case_table
from cardiouq.data.readers.scans import read_label
from cardiouq.files.tables import read_rows
from cardiouq.structures import label_of
from tests.paths import ROOT

DOCUMENT = ROOT / "docs" / "adding-a-dataset.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
STUDY = "my_study/my_study.yaml"
PAGE = "results/my_study/reporting/data.html"
CodeBlocks = Callable[[Path, str], list[str]]


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code_blocks: CodeBlocks) -> Path:
    """The digital hearts of the document's script, in the working directory."""
    monkeypatch.chdir(tmp_path)
    script = code_blocks(DOCUMENT, "python")[0]
    (tmp_path / "make_scans.py").write_text(script, encoding="utf-8")
    subprocess.run([sys.executable, "make_scans.py"], check=True)
    return tmp_path / "scans"


def write_study(folder: Path, text: str) -> None:
    (folder / STUDY).parent.mkdir()
    (folder / STUDY).write_text(text, encoding="utf-8")


def assert_listed(subjects: set[str]) -> None:
    """Both phases of every subject are in the case table, with the structures where they are."""
    cases = read_case_table("results/my_study/data/cases.csv")
    ours = cases[cases["dataset"] == "ours"]
    assert set(zip(ours["subject"], ours["phase"], strict=True)) == {
        (subject, phase) for subject in subjects for phase in ("ED", "ES")
    }
    for case in ours.itertuples():
        volumes = [int((read_label(case) == label_of(name)).sum()) for name in ("LV", "MYO", "RV")]
        assert min(volumes) > 100


def test_commands_are_of_the_study_that_the_document_names() -> None:
    commands = re.findall(r"snakemake --cores all ([^`\n]*)", TEXT)
    assert commands == [f"{PAGE} --config study={STUDY}", f"--config study={STUDY}"]


def test_table_of_files_is_scored_as_the_document_says(
    fresh: Any,
    tmp_path: Path,
    scans: Path,
    small_study: str,
    code_blocks: CodeBlocks,
    add_to: Callable[[str, str], str],
) -> None:
    [rows], added = code_blocks(DOCUMENT, "csv"), code_blocks(DOCUMENT, "yaml")[0]
    (scans / "cases.csv").write_text(rows, encoding="utf-8")
    write_study(tmp_path, add_to(small_study, added))

    seen = fresh.run(PAGE, study=STUDY)
    assert seen.returncode == 0, seen.stdout
    assert_listed({"s1", "s2"})
    assert all(f"s{number}" in (tmp_path / PAGE).read_text(encoding="utf-8") for number in (1, 2))
    assert not (tmp_path / "results/my_study/training").exists()

    done = fresh.run(study=STUDY)
    assert done.returncode == 0, done.stdout
    tables = tmp_path / "results/my_study/reporting/tables"
    label = yaml.safe_load(added)["test_sets"]["ours"]["label"]
    assert label in (tables / "table1_dice.md").read_text(encoding="utf-8")
    dice = read_rows(tables / "table1_dice.csv")
    assert dice.loc[dice["test_set"] == "ours", "value"].between(0, 1).all()
    assert "ours" in set(dice["test_set"])


def add_lines(repository: Path) -> None:
    """Make the edits of the document's table: what is to be added follows what is there."""
    edits = re.findall(r"^\| `(\S+)` \| (.*?) \| `(.*?)` \|$", TEXT, re.MULTILINE)
    assert len(edits) == 3
    for file, after, added in edits:
        text = (repository / file).read_text(encoding="utf-8")
        anchor = after.strip("`")
        if anchor == "the last row":
            text += f"{added}\n"
        else:
            assert text.count(anchor) == 1, f"{file}: {anchor}"
            line = text[text.index(anchor) :].partition("\n")[0]
            between = "\n" + "    " * anchor.endswith("{") if line == anchor else ""
            text = text.replace(anchor, f"{anchor}{between}{added}")
        (repository / file).write_text(text, encoding="utf-8")


def test_adapter_added_as_the_document_says_reads_the_folder(
    fresh: Any,
    tmp_path: Path,
    scans: Path,
    copy_repository: Callable[[Path], Path],
    small_study: str,
    code_blocks: CodeBlocks,
    add_to: Callable[[str, str], str],
) -> None:
    repository = copy_repository(tmp_path / "repository")
    [file] = re.findall(r"`(src/\S+/hearts\.py)`", TEXT)
    (repository / file).write_text(code_blocks(DOCUMENT, "python")[1], encoding="utf-8")
    add_lines(repository)
    write_study(tmp_path, add_to(small_study, code_blocks(DOCUMENT, "yaml")[1]))
    checkout = replace(fresh, repository=repository)

    seen = checkout.run(PAGE, study=STUDY)
    assert seen.returncode == 0, seen.stdout
    assert_listed({f"s{n}" for n in range(1, 6)})

    (scans / "s3" / "ES_label.nii.gz").unlink()
    told = checkout.run(PAGE, study=STUDY)
    assert told.returncode != 0
    assert "scans/s3/ES_label.nii.gz: missing" in told.stdout

    scans.rename(tmp_path / "elsewhere")
    assert "It is given by form: https://example.org/hearts" in checkout.run(study=STUDY).stdout
