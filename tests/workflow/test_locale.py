"""Text is UTF-8 in every locale: what is read, written and printed, and the names of files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import yaml

from tests.paths import ROOT

SUBJECTS = ("Müller", "Łódź", "心", "José")
TITLE = "Größe des Herzens, β₁ ± 心"
STUDY = "Größe/study.yaml"
PAGE = "results/study/reporting/data.html"
PRINT = """
import sys
from types import SimpleNamespace
from cardiouq.files.documents import read_yaml
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.printing import Cell, PrintedTable
from cardiouq.reporting.writing import write_table
from pathlib import Path
import pandas as pd

title = read_yaml(Path(sys.argv[1]))["title"]
snakemake = SimpleNamespace(params=SimpleNamespace(title=title))
caption = render_caption(sys.argv[2], snakemake)
names = {form: f"{sys.argv[3]}.{form}" for form in ("csv", "md", "tex", "html")}
printed = PrintedTable(caption, "table", [(title, 1)], [title], [[Cell(title)]])
write_table(pd.DataFrame({title: [title]}), printed, SimpleNamespace(**names))
"""


@pytest.fixture(scope="module")
def latin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a locale whose encoding is ISO-8859-1."""
    folder, name = tmp_path_factory.mktemp("locale"), "en_US.ISO-8859-1"
    if shutil.which("localedef") is None:
        pytest.skip("localedef is not there to make a locale")
    subprocess.run(["localedef", "-i", "en_US", "-f", "ISO-8859-1", folder / name], check=True)
    variables = {"LOCPATH": str(folder), "LC_ALL": name}
    assert python(variables, "-c", "import sys; print(sys.stdout.encoding)") == "iso8859-1\n"
    return variables


@pytest.fixture
def own(tmp_path: Path, tiny: dict[str, Any]) -> Path:
    """A folder with a study of four subjects; names, text and paths are of many alphabets."""
    scans = tmp_path / "scans 心" / "Bilder (größer)"
    scans.mkdir(parents=True)
    rows = ["case,image,label,subject,centre"]
    for number, subject in enumerate(SUBJECTS):
        label = np.zeros((32, 32, 3), np.uint8)
        label[4:12, 4 : 8 + number], label[14:20, 4:8], label[24:28, 4:8] = 1, 2, 3
        image = np.random.default_rng(number).normal(size=label.shape) + label
        for name, values in (("", image.astype(np.float32)), ("_label", label)):
            volume = nib.Nifti1Image(values, np.diag([1.5, 1.5, 8, 1]))
            nib.save(volume, scans / f"{subject}{name}.nii.gz")
        files = [f"Bilder (größer)/{subject}{name}.nii.gz" for name in ("", "_label")]
        rows.append(f"c{number},{files[0]},{files[1]},{subject},Köln")
    text = "\n".join(rows) + "\n"
    scans.with_name("cases.csv").write_text(text, encoding="utf-8")
    labels = {"RV": 1, "MYO": 2, "LV": 3}
    test_set = {"dataset": "own", "split": "validation", "label": "Größe 心", "domain": "ID"}
    study = {key: tiny[key] for key in ("seed", "plan", "prediction", "evaluation")} | {
        "title": TITLE,
        "datasets": {"own": {"layout": "csv", "source": "../scans 心", "labels": labels}},
        "split": {"dataset": "own", "validation_fraction": 0.5},
        "recipes": {"polynomial": tiny["recipes"]["polynomial"]},
        "methods": {"vanilla": tiny["methods"]["vanilla"] | {"label": "Köln 心"}},
        "test_sets": {"val": test_set | {"where": {"centre": "Köln"}, "published": None}},
        "reporting": {"published": None, "tsne": {"perplexity": 30}},
    }
    (tmp_path / "Größe").mkdir()
    (tmp_path / STUDY).write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    return tmp_path


def python(variables: dict[str, str], *arguments: str | Path) -> str:
    """Stdout and stderr of a process in a locale."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ).stdout


def snakemake(variables: dict[str, str], folder: Path, study: Path, *options: str) -> str:
    """Stdout and stderr of a run in a folder."""
    folder.mkdir(exist_ok=True)
    command = ["-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    command += ["--cores", "2", *options, "--config", f"study={study}"]
    return python(variables, *command)


def test_study_is_listed_and_shown_in_the_same_bytes(own: Path, latin: dict[str, str]) -> None:
    made = {}
    for name, variables in {"utf-8": {"LC_ALL": "C.UTF-8"}, "latin": latin}.items():
        told = snakemake(variables, own / name, own / STUDY, PAGE)
        assert "Traceback" not in told
        files = [own / name / PAGE, *(own / name).glob("results/study/data/*.csv")]
        made[name] = {file.name: file.read_bytes() for file in files}
    assert made["utf-8"].keys() == {
        "data.html",
        "cases.csv",
        "split.csv",
        "test_sets.csv",
        "checks.csv",
    }
    assert made["latin"] == made["utf-8"]
    assert TITLE in made["latin"]["data.html"].decode()
    assert all(subject in made["latin"]["cases.csv"].decode() for subject in SUBJECTS)


def test_table_is_printed_in_the_same_bytes(own: Path, latin: dict[str, str]) -> None:
    """By a process whose encoding is the locale's."""
    (own / "caption.rst").write_text("± {{ snakemake.params.title }}", encoding="utf-8")
    for name, variables in {"utf-8": {"LC_ALL": "C.UTF-8"}, "latin": latin}.items():
        assert python(variables, "-c", PRINT, own / STUDY, own / "caption.rst", own / name) == ""
    for form in ("csv", "md", "tex", "html"):
        printed = (own / f"latin.{form}").read_bytes()
        assert printed == (own / f"utf-8.{form}").read_bytes()
        assert "Größe des Herzens".encode() in printed


def test_error_names_a_scan_of_another_alphabet(own: Path, latin: dict[str, str]) -> None:
    missing = next(own.rglob("心_label.nii.gz"))
    missing.unlink()
    told = snakemake(latin, own, own / STUDY, "results/study/data/cases.csv")
    assert "Traceback" not in told
    [log] = own.rglob("list_cases.log")
    assert f"Bilder (größer)/{missing.name}: missing" in log.read_text(encoding="utf-8")


def test_differences_that_the_terminal_lacks_are_escaped(
    tmp_path: Path, latin: dict[str, str]
) -> None:
    state = {"code": {"version": "1"}, "data": {}, "packages": {}, "device": {}}
    for name in ("心", "Köln"):
        found = {"state": state | {"config": {"title": name}}, "results": {}}
        (tmp_path / name).write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    shutil.move(tmp_path / "心", tmp_path / "a")
    shutil.move(tmp_path / "Köln", tmp_path / "b")
    told = python(latin, "-m", "cardiouq.cli", "compare", tmp_path / "a", tmp_path / "b")
    assert "title: \\u5fc3 -> K\ufffdln" in told  # the terminal's ö is no UTF-8
