"""Names of folders, files and texts that mean something to Snakemake or a shell, in its rules."""

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

ODD = "St{id} 'x', 50% #2 [a] $HOME \\ *?"


def test_texts_and_folders_of_the_user_are_no_patterns(
    fresh: Any, tmp_path: Path, tiny: dict[str, Any], repository: Path
) -> None:
    folder = tmp_path / ODD
    folder.mkdir()
    name = "M&Ms {name}"
    tiny["title"] = "Uncertainty {title}"
    tiny["datasets"] = {
        name: tiny["datasets"]["phantom-acdc"],
        "phantom-mnms": tiny["datasets"]["phantom-mnms"],
    }
    tiny["split"]["dataset"] = tiny["test_sets"]["phantom-val"]["dataset"] = name
    for block in (*tiny["methods"].values(), *tiny["test_sets"].values()):
        block["label"] += " {label}"
    tiny["methods"]["vanilla"]["method"] = "my {own}.py"
    shutil.copy(repository / "src/cardiouq/methods/single.py", folder / "my {own}.py")
    (folder / "own.yaml").write_text(yaml.safe_dump(tiny), encoding="utf-8")
    planned = fresh.plan(study=f"{ODD}/own.yaml")
    assert planned.jobs["train"] > 10


@pytest.mark.parametrize(
    ("root", "folder"), [("~/acdc", "acdc"), ("~/a {x} 'b'", "a {x} 'b'"), ("~", "")]
)
def test_data_is_fetched_to_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Any, root: str, folder: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    options = ("fetch_acdc", "--dry-run", "--printshellcmds")
    done = fresh.run(*options, study="demo", config=[f"acdc_root={root}"])
    assert done.returncode == 0, done.stdout
    [command] = [line for line in done.stdout.splitlines() if "--root=" in line]
    assert f"--root={tmp_path / folder}" in shlex.split(command)
