"""What goes wrong is said in one clear message, and Snakemake finds nothing to criticise."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.forked import run_snakemake


def error_of(done: Any) -> str:
    """The message; the run must have failed without a traceback."""
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    found = re.findall(r"^ERROR: .*(?:\n  - .*)*", done.stdout, re.MULTILINE)
    assert len(set(found)) == 1, done.stdout
    return str(found[0])


def test_lint_passes(fresh: Any) -> None:
    done = fresh.run("--lint", study="demo")
    assert done.returncode == 0, done.stdout


def test_unknown_study_is_one_clear_error(fresh: Any) -> None:
    message = error_of(fresh.run("--dry-run", study="zhao2023"))
    assert "zhao2023" in message
    known = sorted(path.stem for path in fresh.repository.glob("config/studies/*.yaml"))
    assert len(known) > 5
    assert str(known) in message


def test_empty_data_roots_are_one_clear_error(fresh: Any) -> None:
    message = error_of(fresh.run("--dry-run", study="zhao2022"))
    assert "`acdc_root` is empty" in message
    assert "snakemake --cores 1 fetch_acdc --config study=demo acdc_root=FOLDER" in message
    assert "`mnms_root` is empty" in message
    assert "given by form: https://www.ub.edu/mnms/" in message


def test_printed_command_fetches_scans_whatever_study_config_yaml_names(
    fresh: Any, tmp_path: Path, copy_repository: Any
) -> None:
    repository = copy_repository(tmp_path / "repository")
    file = repository / "config/config.yaml"
    text = file.read_text(encoding="utf-8")
    assert "study: demo\n" in text
    file.write_text(text.replace("study: demo\n", "study: zhao2022\n"), encoding="utf-8")
    root = f"acdc_root={tmp_path / 'acdc'}"
    message = error_of(fresh.run("--dry-run", study="zhao2022", config=[root]))
    [command] = re.findall(r"`(snakemake [^`]*fetch_acdc[^`]*)`", message)
    command = command.replace("acdc_root=FOLDER", root)
    here = ["--snakefile", str(repository / "Snakefile"), "--directory", str(tmp_path), "--dry-run"]
    done = run_snakemake([*shlex.split(command)[1:], *here], {**os.environ})
    assert done.returncode == 0, done.stdout
    assert "rule fetch_acdc:" in done.stdout


def test_fetching_needs_a_folder_to_fetch_to(fresh: Any) -> None:
    done = fresh.run("fetch_acdc", study="demo")
    assert done.returncode != 0
    assert "ERROR: no folder is given; say `--config acdc_root=FOLDER`" in done.stdout


def test_misspelt_key_on_the_command_line_is_one_clear_error(fresh: Any) -> None:
    message = error_of(fresh.run("--dry-run", study="demo", config=["devise=cpu"]))
    assert "did you mean 'device'?" in message


def test_missing_device_value_is_one_clear_error(fresh: Any) -> None:
    message = error_of(fresh.run("--dry-run", study="demo", config=["device=gpu"]))
    assert "'gpu' is not one of ['auto', 'cpu', 'cuda']" in message


@pytest.mark.parametrize("cuda", [None, "12.6"])
def test_gpu_that_pytorch_is_not_built_for_is_one_clear_error(
    fresh: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuda: str | None
) -> None:
    """Told before anything is planned, and without importing PyTorch."""
    for part, name in (("recipes", "polynomial"), ("methods", "vanilla")):
        tiny[part] = {name: tiny[part][name]}
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(tiny), encoding="utf-8")
    package = tmp_path / "packages" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise KeyError('imported')\n", encoding="utf-8")
    version = f"__version__ = '2.13.0'\ncuda = {cuda!r}\nhip = None\n"
    (package / "version.py").write_text(version, encoding="utf-8")
    before = os.environ["PYTHONPATH"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), before]))
    done = fresh.run("--dry-run", study=str(study), config=["device=cuda"], forked=False)
    if cuda:
        assert done.returncode == 0, done.stdout
    else:
        message = error_of(done)
        assert f"device: cuda, but PyTorch 2.13.0 in {package} is built without CUDA" in message
        assert message.endswith("or run with --config device=cpu")


@pytest.mark.parametrize("folder", ["acdc", "mnms"])
def test_root_that_is_no_folder_is_one_clear_error(fresh: Any, tmp_path: Path, folder: str) -> None:
    (tmp_path / "acdc").mkdir()
    (tmp_path / "mnms").mkdir()
    (tmp_path / folder).rmdir()
    roots = [f"{layout}_root={tmp_path / layout}" for layout in ("acdc", "mnms")]
    message = error_of(fresh.run("--dry-run", study="zhao2022", config=roots))
    assert str(tmp_path / folder) in message
    assert message.count("\n") == 1


def test_broken_scans_stop_the_study_before_training_with_every_problem(
    fresh: Any, tmp_path: Path
) -> None:
    patient = tmp_path / "acdc" / "training" / "patient001"
    patient.mkdir(parents=True)
    (patient / "Info.cfg").write_text("ED: 1\nES: 2\nGroup: NOR\n", encoding="utf-8")
    (tmp_path / "mnms").mkdir()
    roots = [f"{layout}_root={tmp_path / layout}" for layout in ("acdc", "mnms")]
    message = error_of(fresh.run(study="zhao2022", config=roots))
    assert str(patient / "patient001_frame01.nii.gz") in message
    assert str(patient / "patient001_frame02.nii.gz") in message
    assert "Dataset_Information" in message
    assert not (tmp_path / "results" / "zhao2022" / "training").exists()


@pytest.mark.parametrize("name", ["2022", "001", "1e3", "True", "50 #2", "a: b", "[a]"])
def test_name_is_read_as_it_was_typed(fresh: Any, name: str) -> None:
    assert f"/{name}.yaml: there is no such study" in error_of(fresh.run("-n", study=name))


def test_second_study_is_refused_before_anything_is_done(
    fresh: Any, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.yaml").write_text(yaml.safe_dump(tiny), encoding="utf-8")
    fresh.plan(study="a/own.yaml")
    assert not (tmp_path / "results").exists()
    done = fresh.run("--until", "make_phantom", study="a/own.yaml")
    assert done.returncode == 0, done.stdout
    message = error_of(fresh.run(study="b/own.yaml"))
    assert "results/own: holds the results of the study a/own.yaml" in message
    assert "b/own.yaml" in message


@pytest.mark.parametrize(
    ("place", "kind", "options"),
    [
        ("results", "link", ["--dry-run"]),
        ("results/demo", "file", []),
        (".snakemake", "file", ["--dry-run"]),
        (".snakemake", "link", []),
    ],
)
def test_study_says_at_the_start_what_is_in_a_folder_s_place(
    fresh: Any, tmp_path: Path, place: str, kind: str, options: list[str]
) -> None:
    filled = tmp_path / place
    filled.parent.mkdir(exist_ok=True)
    if kind == "file":
        filled.touch()
    else:
        filled.symlink_to("/media/disk")
    message = error_of(fresh.run(*options, study="demo"))
    assert message.startswith(f"ERROR: {place}: is a {kind}")
