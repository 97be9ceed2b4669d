"""What is noted of the code that makes a result."""

import platform
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from cardiouq.provenance import record
from cardiouq.provenance.record import (
    NOT_RECORDED,
    code_files,
    git_version,
    packages,
    repository,
)


def test_code_is_that_of_the_repository() -> None:
    files = code_files(repository())
    assert {
        "Snakefile",
        "workflow/Snakefile",
        "src/cardiouq/provenance/compare.py",
        "workflow/rules/training.smk",
    } <= files.keys()
    assert not [name for name in files if "__pycache__" in name or "egg-info" in name]


def test_results_beside_the_code_are_not_walked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Snakefile", "src/package/code.py", "results/study/scan.nii.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    walked: list[Path] = []
    rglob = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda of, *_: walked.append(of) or rglob(of, "*"))
    assert code_files(tmp_path).keys() == {"Snakefile", "src/package/code.py"}
    assert tmp_path not in walked


def test_commit_is_of_the_repository_itself(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--allow-empty", "--quiet", "-m", "first"], check=True)
    (tmp_path / "below").mkdir()
    assert git_version(tmp_path) != NOT_RECORDED
    assert git_version(tmp_path / "below") == NOT_RECORDED


def test_packages_of_an_installation_are_those_of_the_repository_less_extras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pip installs the package's folder, and no pyproject.toml beside it."""
    text = (repository() / "pyproject.toml").read_text(encoding="utf-8")
    lines = tomllib.loads(text)["project"]["dependencies"]
    extras = ['pytest>=8; extra == "dev"', "pip ; python_version > '3' and extra == 'x'"]
    given = [*lines, *extras, "packaging; python_version > '3'"]
    expected = packages() | {"packaging": version("packaging")}
    assert {"python", "torch", "snakemake"} < expected.keys()
    monkeypatch.setattr(record, "repository", lambda: tmp_path)
    monkeypatch.setattr(record, "requires", lambda of: given if of == "cardiouq" else [])
    assert packages() == expected


def test_package_that_is_a_mere_folder_has_no_dependencies_that_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(record, "repository", lambda: tmp_path)
    monkeypatch.setattr(record, "requires", missing)
    monkeypatch.setattr(record, "version", missing)
    assert packages() == {"python": platform.python_version(), "cardiouq": "not installed"}
