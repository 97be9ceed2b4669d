"""What is noted of the code that makes a result."""

import subprocess
from pathlib import Path

from cardiouq.provenance.record import NOT_RECORDED, code_files, git_version, repository


def test_code_is_that_of_the_repository() -> None:
    files = code_files(repository())
    assert {
        "Snakefile",
        "workflow/Snakefile",
        "src/cardiouq/provenance/compare.py",
        "workflow/rules/training.smk",
    } <= files.keys()
    assert not [name for name in files if "__pycache__" in name or "egg-info" in name]


def test_commit_is_of_the_repository_itself(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--allow-empty", "--quiet", "-m", "first"], check=True)
    (tmp_path / "below").mkdir()
    assert git_version(tmp_path) != NOT_RECORDED
    assert git_version(tmp_path / "below") == NOT_RECORDED
