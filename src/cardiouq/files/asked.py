"""What a prediction or a scoring was asked for, noted beside its products."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cardiouq.files.documents import read_json, write_json
from cardiouq.files.run_files import ASKED_FILE

RUN_DEPTH = 3
"""Parts of a run's folder from the results on, `training/<recipe>-<key>/seed-<k>`."""


def note_asked(folder: Path, asked: Mapping[str, Any]) -> None:
    """Note what was asked for in the folder of what was made; `runs`, if any, are folders."""
    write_json(folder / ASKED_FILE, _of_any_study(asked))


def is_as_asked(folder: Path, asked: Mapping[str, Any]) -> bool:
    """Whether products are what is asked for; those that note nothing are taken to be.

    Args:
        folder: of a method's predictions or scores.
        asked: as `Study.asked` or `Study.asked_to_score` has it.

    Raises:
        CardiouqError: the note is not as it was written.
    """
    file = folder / ASKED_FILE
    if not file.is_file():
        return True
    return _of_any_study(read_json(file, {"type": "object"})) == _of_any_study(asked)


def _of_any_study(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for, with runs called as below the study's results, which may be renamed."""
    runs = [str(Path(*Path(run).parts[-RUN_DEPTH:])) for run in asked.get("runs", [])]
    return {**asked, "runs": runs} if "runs" in asked else dict(asked)
