"""What goes wrong is said in one clear message, and Snakemake finds nothing to criticise."""

import re
from pathlib import Path
from typing import Any

import pytest


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
    assert "snakemake --cores 1 fetch_acdc --config acdc_root=FOLDER" in message
    assert "`mnms_root` is empty" in message
    assert "given by form: https://www.ub.edu/mnms/" in message


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
