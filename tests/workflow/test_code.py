"""Jobs run the code of the checkout whose Snakefile runs, whatever the environment holds."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from cardiouq.provenance.record import code_hash

CONDA = """#!/bin/bash
case "$1" in
    info) echo '{{"conda_prefix": "{home}", "platform": "linux-64"}}' ;;
    config) echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
    env) while [ "$1" != --prefix ]; do shift; done; cp -a {home}/made "$2" ;;
    *) echo "conda 25.1.1" ;;
esac
"""
"""What Snakemake asks of conda."""
ACTIVATE = """export PATH="${PATH/"$CONDA_PREFIX"/"$1"}"
"""
"""As conda does it where an environment is active: the new one takes its place in the PATH."""
CONDA_S = "conda's python runs"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """One that has all that the package needs, not the package."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    installed = "\n".join(path for path in sys.path if path.endswith("site-packages"))
    (site_packages(folder) / "dependencies.pth").write_text(installed, encoding="utf-8")
    return folder


@pytest.fixture
def study(tmp_path: Path, tiny: dict[str, Any]) -> Path:
    """The tiny one with Vanilla alone, on one test set, beside no paper, undistorted."""
    tiny["methods"] = {"vanilla": tiny["methods"]["vanilla"] | {"repeats": 1}}
    tiny["test_sets"] = {"phantom-val": tiny["test_sets"]["phantom-val"] | {"published": None}}
    tiny["reporting"]["published"] = None
    del tiny["distortions"]
    tiny["recipes"] = {"polynomial": tiny["recipes"]["polynomial"]}
    tiny["recipes"]["polynomial"]["schedule"]["epochs"] = 2
    tiny["phantom"]["mnms_subjects_per_vendor"] = 1
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(tiny), encoding="utf-8")
    return tmp_path / "small.yaml"


@pytest.fixture
def second(tmp_path: Path, copy_repository: Callable[[Path], Path]) -> Path:
    """A checkout in a folder with a difficult name, whose phantom, errors and Dice are its own."""
    root = copy_repository(tmp_path / 'l\'Hôpital M&Ms, 50% #2 [x] $HOME \\ "José"')
    edit(root, "data/phantom/generate.py", "Height: {subject.height_cm}", "Height: 99.5")
    edit(root, "errors.py", "nERROR: {message}", "nERROR of the second: {message}")
    edit(root, "evaluation/overlap.py", r"(def dice\(.*?\n    return)", r"\1 0.125 + 0 *")
    return root


def site_packages(environment: Path) -> Path:
    return next(environment.glob("lib/python*/site-packages"))


def edit(root: Path, module: str, pattern: str, new: str) -> None:
    file = root / "src" / "cardiouq" / module
    text, count = re.subn(pattern, new, file.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert count == 1
    file.write_text(text, encoding="utf-8")


def snakemake(
    environment: Path, directory: Path, *options: str | Path, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Stdout and stderr come back as one text."""
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CARDIOUQ_", "PYTHON", "CONDA"))
    }
    return subprocess.run(
        [environment / "bin" / "python", "-m", "snakemake", "--cores", "1", *options],
        cwd=directory,
        env=known | {"OMP_NUM_THREADS": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=600,
    )


def add_conda(home: Path, environment: Path) -> dict[str, str]:
    """Put what Snakemake takes for conda into a folder; variables of a shell with it activated."""
    shutil.copytree(environment, home / "made", symlinks=True)
    noisy = f"import sys; print({CONDA_S!r}, file=sys.stderr)\n"
    (site_packages(home / "made") / "noisy.pth").write_text(noisy, encoding="utf-8")
    (home / "bin").mkdir()
    (home / "bin" / "activate").write_text(ACTIVATE, encoding="utf-8")
    (home / "bin" / "conda").write_text(CONDA.format(home=home), encoding="utf-8")
    (home / "bin" / "conda").chmod(0o755)
    return {"PATH": f"{home}/bin:{os.environ['PATH']}", "CONDA_PREFIX": str(home)}


def install(first: Path, environment: Path, how: str) -> None:
    """As pip does it with and without `--editable`."""
    if how == "editable":
        (site_packages(environment) / "first.pth").write_text(str(first / "src"), encoding="utf-8")
    else:
        shutil.copytree(first / "src" / "cardiouq", site_packages(environment) / "cardiouq")


@pytest.mark.parametrize("first", ["copied", "on PYTHONPATH", "nowhere, jobs under conda"])
def test_jobs_run_the_code_beside_the_snakefile(
    environment: Path, second: Path, repository: Path, study: Path, tmp_path: Path, first: str
) -> None:
    """In a `script:` and in a `shell:`, wherever another checkout's is."""
    options, variables = ["make_phantom", "fetch_acdc", "--keep-going"], {}
    if first == "copied":
        install(repository, environment, "copied")
    elif first == "on PYTHONPATH":
        variables = {"PYTHONPATH": str(repository / "src")}
    else:
        variables = add_conda(tmp_path / "conda", environment)
        options += ["--sdm", "conda"]
    done = snakemake(
        environment,
        tmp_path,
        "-s",
        second / "Snakefile",
        *options,
        "--config",
        f"study={study}",
        **variables,
    )
    assert "ERROR of the second: no folder is given" in done.stdout
    information = next((tmp_path / "results/small/data/phantom/acdc").rglob("Info.cfg"))
    assert "Height: 99.5\n" in information.read_text(encoding="utf-8"), done.stdout
    assert (CONDA_S in done.stdout) == ("conda" in first)


def test_table_and_provenance_are_of_the_second_checkout(
    environment: Path, second: Path, repository: Path, study: Path, tmp_path: Path
) -> None:
    """One environment, in which the first is installed."""
    install(repository, environment, "editable")
    results = tmp_path / "results" / "small"
    table = results / "reporting" / "tables" / "table1_dice.csv"
    done = snakemake(
        environment,
        tmp_path,
        "-s",
        second / "Snakefile",
        table.relative_to(tmp_path),
        "--config",
        f"study={study}",
    )
    assert done.returncode == 0, done.stdout
    assert set(pd.read_csv(table)["value"]) == {0.125}
    [noted] = results.glob("training/*/*/machine.json")
    [machine] = json.loads(noted.read_text(encoding="utf-8"))
    assert machine["code"] == code_hash(second) != code_hash(repository)


@pytest.mark.parametrize("how", ["editable", "copied"])
def test_progress_is_told_by_the_checkout_s_own_code(
    environment: Path, second: Path, repository: Path, study: Path, how: str
) -> None:
    """Or not at all, as other code would count other jobs."""
    install(repository, environment, how)
    command = [environment / "bin" / "python", "-m", "cardiouq.cli", "status", study]

    def told(**variables: str) -> str:
        known = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        return subprocess.run(
            command,
            cwd=second,
            env=known | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        ).stdout

    assert f"is the code that runs, and not {second}/src; set PYTHONPATH" in told()
    assert "Device time: 0:00:00 spent" in told(PYTHONPATH=f"{second}/src")


MODULE = """
module {name}:
    snakefile: {snakefile!r}
    {more}

use rule * from {name} as {name}_*
"""
MACHINE = {"acdc_root": "", "mnms_root": "", "ukbb_root": "", "device": "cpu"}


EITHER = pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])


def dry_run(environment: Path, folder: Path, text: str, *options: str) -> str:
    """Of a Snakefile that imports checkouts."""
    (folder / "importing.smk").write_text(text, encoding="utf-8")
    return snakemake(environment, folder, "-s", "importing.smk", "--dry-run", *options).stdout


@EITHER
def test_module_without_another_name(
    environment: Path, repository: Path, study: Path, tmp_path: Path, snakefile: str
) -> None:
    """Its settings are those of its own config.yaml, and of the command line."""
    file = str(repository / snakefile)
    text = f"module heart:\n    snakefile: {file!r}\nuse rule * from heart\n"
    told = dry_run(environment, tmp_path, text, "--config", f"study={study}")
    assert re.search(r"^predict +1$", told, re.MULTILINE), told
    assert "results/small/provenance.json" in told


@EITHER
def test_module_under_another_name_runs_beside_other_rules(
    environment: Path, repository: Path, study: Path, tmp_path: Path, snakefile: str
) -> None:
    """From a folder of its own, whose rules use what the study makes."""
    (tmp_path / "paper" / "rules").mkdir(parents=True)
    text = MODULE.format(
        name="heart",
        snakefile=str(repository / snakefile),
        more=f"config: {MACHINE | {'study': str(study)}}",
    )
    (tmp_path / "paper" / "rules" / "heart.smk").write_text(text, encoding="utf-8")
    (tmp_path / "paper" / "Snakefile").write_text(
        'include: "rules/heart.smk"\n'
        "rule count:\n"
        "    default_target: True\n"
        "    input: rules.heart_make_phantom.output\n"
        "    output: 'count.txt'\n"
        "    shell: 'ls {input}/acdc/training | wc -l > {output}'\n",
        encoding="utf-8",
    )
    done = snakemake(environment, tmp_path, "-s", tmp_path / "paper" / "Snakefile")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "count.txt").read_text(encoding="utf-8").strip() == "10"


@pytest.mark.parametrize("moved", ["prefix: 'paper'", "replace_prefix: {'results/': 'paper/'}"])
def test_module_whose_files_are_moved_is_refused(
    environment: Path, repository: Path, study: Path, tmp_path: Path, moved: str
) -> None:
    text = MODULE.format(name="heart", snakefile=str(repository / "Snakefile"), more=moved)
    told = dry_run(environment, tmp_path, text, "--config", f"study={study}")
    assert "ERROR: `prefix` and `replace_prefix`" in told


def test_module_without_all_settings_is_told_which(
    environment: Path, repository: Path, tmp_path: Path
) -> None:
    more = "config: {'device': 'cpu'}"
    text = MODULE.format(name="heart", snakefile=str(repository / "Snakefile"), more=more)
    told = dry_run(environment, tmp_path, text)
    missing = [f"  - {key}: missing" for key in ("study", "acdc_root", "mnms_root", "ukbb_root")]
    assert "\n".join(["ERROR: config.yaml: 4 problem(s):", *missing, ""]) in told


def test_two_modules_are_of_one_code_and_device(
    environment: Path, repository: Path, second: Path, study: Path, tmp_path: Path
) -> None:
    """Or are refused, as they share a process."""
    shutil.copy(study, tmp_path / "other.yaml")

    def told(snakefile: Path, device: str) -> str:
        one = MACHINE | {"study": str(study)}
        two = MACHINE | {"study": "other.yaml", "device": device}
        modules = [("one", repository / "Snakefile", one), ("two", snakefile, two)]
        text = "".join(
            MODULE.format(name=name, snakefile=str(file), more=f"config: {config}")
            for name, file, config in modules
        )
        return dry_run(environment, tmp_path, text, "--quiet", "rules")

    assert re.search(r"^two_train +1$", told(repository / "Snakefile", "cpu"), re.MULTILINE)
    assert "CARDIOUQ_DEVICE: 'auto'" in told(repository / "Snakefile", "auto")
    assert f"to be in {second / 'src'}, and what would run" in told(second / "Snakefile", "cpu")


@EITHER
@pytest.mark.parametrize("made", ["copied alone", "linked alone"])
def test_snakefile_without_its_code_is_refused(
    environment: Path, repository: Path, tmp_path: Path, snakefile: str, made: str
) -> None:
    """Though a package is installed; of the one that includes the other, that is what is missed."""
    copy = tmp_path / snakefile
    copy.parent.mkdir(exist_ok=True)
    if made == "copied alone":
        shutil.copy(repository / snakefile, copy)
    else:
        copy.symlink_to(repository / snakefile)
    installed = str(repository / "src")
    done = snakemake(environment, tmp_path, "--dry-run", PYTHONPATH=installed)
    assert done.returncode != 0
    if snakefile == "Snakefile":
        assert f"No such file or directory: '{tmp_path}/workflow/Snakefile'" in done.stdout
    else:
        assert f"ERROR: {copy}: its code is to be in {tmp_path}/src" in done.stdout
        assert f"would run is {installed}" in done.stdout


@pytest.mark.parametrize("name", ["study{id}", "a{b", "a:b"])
def test_checkout_whose_path_cannot_be_told_to_jobs_is_refused(
    environment: Path, copy_repository: Callable[[Path], Path], tmp_path: Path, name: str
) -> None:
    root = copy_repository(tmp_path / name)
    told = snakemake(environment, root, "--dry-run").stdout
    assert f"ERROR: {root}: the path of the Snakefile holds" in told
