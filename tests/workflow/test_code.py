"""Jobs run the code of the checkout whose Snakefile runs, whatever the environment holds."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that has all that the package needs, not the package."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    installed = "\n".join(path for path in sys.path if path.endswith("site-packages"))
    (site_packages(folder) / "dependencies.pth").write_text(installed, encoding="utf-8")
    return folder


@pytest.fixture
def second(tmp_path: Path, copy_repository: Callable[[Path], Path]) -> Path:
    """A checkout whose phantom, errors and Dice are its own."""
    root = copy_repository(tmp_path / "second")
    edit(root, "data/phantom.py", "Height: {subject.height_cm}", "Height: 99.5")
    edit(root, "errors.py", "nERROR: {message}", "nERROR of the second: {message}")
    edit(root, "evaluation/overlap.py", r"(def dice\(.*?\n    return) [^\n]*", r"\1 0.125")
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
    noisy = f"import sys\nprint({CONDA_S!r}, file=sys.stderr)\n"
    (site_packages(home / "made") / "sitecustomize.py").write_text(noisy, encoding="utf-8")
    (home / "bin").mkdir()
    (home / "bin" / "activate").write_text(ACTIVATE, encoding="utf-8")
    (home / "bin" / "conda").write_text(CONDA.format(home=home), encoding="utf-8")
    (home / "bin" / "conda").chmod(0o755)
    return {"PATH": f"{home}/bin:{os.environ['PATH']}", "CONDA_PREFIX": str(home)}


@pytest.mark.parametrize("installed", ["editable", "copied", "on PYTHONPATH", "not, in conda's"])
def test_jobs_run_the_code_beside_the_snakefile(
    environment: Path, second: Path, repository: Path, tmp_path: Path, installed: str
) -> None:
    """In a `script:` and in a `shell:`, the first checkout being installed in some way."""
    own = tmp_path / "own"
    shutil.copytree(environment, own, symlinks=True)
    variables, options = {}, ["make_phantom", "fetch_acdc", "--keep-going"]
    if installed == "editable":
        (site_packages(own) / "first.pth").write_text(str(repository / "src"), encoding="utf-8")
    elif installed == "copied":
        shutil.copytree(repository / "src" / "cardiouq", site_packages(own) / "cardiouq")
    elif installed == "on PYTHONPATH":
        variables = {"PYTHONPATH": str(repository / "src")}
    else:
        variables = add_conda(tmp_path / "conda", environment)
        options += ["--sdm", "conda"]
    study = repository / "tests" / "workflow" / "tiny.yaml"
    done = snakemake(
        *(own, tmp_path, "-s", second / "Snakefile", *options, "--config", f"study={study}"),
        **variables,
    )
    assert "ERROR of the second: no folder is given" in done.stdout
    information = next((tmp_path / "results/tiny/data/phantom/acdc").rglob("Info.cfg"))
    assert "Height: 99.5\n" in information.read_text(encoding="utf-8"), done.stdout
    assert (CONDA_S in done.stdout) == ("conda" in installed)
