"""The conda environment, the pip lock and the ranges of pyproject.toml agree."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from tests.paths import ROOT

PIP_NAME = {"snakemake-minimal": "snakemake", "pytorch": "torch", "matplotlib-base": "matplotlib"}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def locked() -> dict[str, str]:
    lines = (ROOT / "envs/requirements.lock").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def conda() -> dict[str, str]:
    dependencies = yaml.safe_load((ROOT / "envs/environment.yaml").read_text(encoding="utf-8"))[
        "dependencies"
    ]
    pairs = (re.split(r"\s*=", entry) for entry in dependencies if re.search(r" =\d", entry))
    return {PIP_NAME.get(name, name): version for name, version in pairs}


def test_conda_has_the_locked_versions() -> None:
    assert conda() == {name: locked()[name] for name in conda()}


def test_conda_has_every_dependency_of_the_package() -> None:
    names = {Requirement(line).name for line in PYPROJECT["dependencies"]}
    assert conda().keys() == names


@pytest.mark.parametrize(
    "line", [*PYPROJECT["dependencies"], *PYPROJECT["optional-dependencies"]["dev"]]
)
def test_the_locked_version_lies_in_the_range(line: str) -> None:
    requirement = Requirement(line)
    assert requirement.specifier.contains(locked()[requirement.name])


def test_everything_in_the_lock_is_pinned_exactly() -> None:
    lines = (ROOT / "envs/requirements.lock").read_text(encoding="utf-8").splitlines()
    pinned = [re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines if not line.startswith("#")]
    assert len(pinned) > 50
    assert all(pinned)
