"""An export is of products that are what the study asks for now."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardiouq.apply.export import export
from cardiouq.errors import CardiouqError
from cardiouq.files.asked import is_as_asked, note_asked
from cardiouq.files.writing import atomic_write
from cardiouq.study.study import Study
from tests.paths import CONFIG, TINY

Settings = dict[str, Any]


@pytest.fixture
def make(
    tmp_path: Path, local_config: Settings, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Study]:
    """The tiny study under a name of its own, in a working directory."""
    monkeypatch.chdir(tmp_path)

    def make(name: str) -> Study:
        shutil.copy(TINY, f"{name}.yaml")
        return Study(f"{name}.yaml", local_config, CONFIG)

    return make


def finish(study: Study, method: str) -> None:
    """Leave what an export looks at: scores, and what both jobs were asked for."""
    for room, asked in (
        ("prediction", study.asked(method)),
        ("evaluation", study.asked_to_score()),
    ):
        folder = Path(study.results, room, method)
        folder.mkdir(parents=True)
        note_asked(folder, asked)
    Path(study.results, "evaluation", method, "scores.csv").touch()


@pytest.mark.parametrize("noted", ["now", "earlier"])
def test_renamed_study_is_exported(
    make: Callable[[str], Study], tmp_path: Path, noted: str
) -> None:
    before = make("before")
    finish(before, "deep_ensemble")
    if noted == "earlier":  # with the name of the study
        with atomic_write(Path(before.results, "prediction/deep_ensemble/asked.json")) as file:
            file.write_text(json.dumps(before.asked("deep_ensemble")), encoding="utf-8")
    Path(before.results).rename("results/after")
    after = make("after")
    with pytest.raises(CardiouqError, match=r"plan\.json: missing"):  # which is read after
        export(after, "deep_ensemble", tmp_path / "model")
    asked = after.asked("deep_ensemble")
    others = asked | {"runs": asked["runs"][:1]}
    assert not is_as_asked(Path(after.results, "prediction/deep_ensemble"), others)


def test_products_of_other_settings_are_not_exported(
    make: Callable[[str], Study], tmp_path: Path
) -> None:
    study = make("before")
    finish(study, "vanilla")
    note_asked(Path(study.results, "prediction/vanilla"), study.asked("vanilla") | {"seed": 7})
    with pytest.raises(CardiouqError, match="is of other settings or runs than before"):
        export(study, "vanilla", tmp_path / "model")
