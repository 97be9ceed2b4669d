"""What a prediction was asked for, noted beside its products."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cardiouq.files.documents import read_json, write_json
from cardiouq.files.run_files import ASKED_FILE


def note_asked(folder: Path, asked: Mapping[str, Any]) -> None:
    """Note settings and runs in a prediction's folder."""
    write_json(folder / ASKED_FILE, asked)


def is_as_asked(folder: Path, asked: Mapping[str, Any]) -> bool:
    """Whether a prediction is of these settings and runs; one that notes none is taken to be.

    Args:
        folder: of a method's predictions.
        asked: as `Study.asked` has it.

    Raises:
        CardiouqError: the note is not as it was written.
    """
    file = folder / ASKED_FILE
    return not file.is_file() or read_json(file, {"type": "object"}) == asked
