"""Results without Snakemake's notes, as copies are: changed settings are seen all the same."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from cardiouq.files.asked import note_asked
from cardiouq.study.study import Study

Edited = Callable[[Path, str], AbstractContextManager[None]]
SCORES = "results/tiny/evaluation/vanilla/scores.csv"


@pytest.fixture
def copied(unrun: Any, small_study: str, local_config: dict[str, Any]) -> Any:
    """Stand-ins of all that the scores of a study come from, and what was asked for."""
    file = Path(unrun.study)
    file.write_text(small_study, encoding="utf-8")
    summary = unrun.run("--summary", SCORES).stdout
    outputs = [line.split("\t")[0] for line in summary.splitlines() if line.startswith("results/")]
    assert SCORES in outputs
    for output in (unrun.directory / name for name in outputs):
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.suffix or output.name == "trained":
            output.touch()
        else:
            output.mkdir(exist_ok=True)
            (output / ".snakemake_timestamp").touch()
            os.utime(output / ".snakemake_timestamp", (1e9, 1e9))
        os.utime(output, (1e9, 1e9))
    study = Study(str(file), local_config, unrun.repository / "config")
    note_asked(unrun.results / "prediction/vanilla", study.asked("vanilla"))
    note_asked(unrun.results / "evaluation/vanilla", study.asked_to_score())
    return unrun


@pytest.mark.parametrize(
    ("before", "after", "jobs"),
    [
        ("seed", "seed", {}),
        ("bins: 100", "bins: 20", {"evaluate": 1}),
        ("tile_overlap: 0.0", "tile_overlap: 0.5", {"predict": 1, "evaluate": 1}),
    ],
)
def test_changed_settings_make_anew_what_they_decide(
    copied: Any, edited: Edited, before: str, after: str, jobs: dict[str, int]
) -> None:
    text = Path(copied.study).read_text(encoding="utf-8")
    assert before in text
    with edited(Path(copied.study), text.replace(before, after)):
        assert not list(copied.directory.glob(".snakemake/metadata/*"))
        assert copied.plan(SCORES).jobs == jobs
        assert copied.plan(SCORES, "--rerun-triggers", "mtime").jobs == {}


def test_a_note_that_is_torn_is_one_clear_error(copied: Any) -> None:
    note = copied.results / "evaluation/vanilla/asked.json"
    note.write_text("{", encoding="utf-8")
    told = copied.run("--dry-run", SCORES).stdout
    assert "ERROR: results/tiny/evaluation/vanilla/asked.json: is not as it was made" in told
    assert "Traceback" not in told
