"""What a prediction or a scoring was asked for, noted beside its products."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cardiouq.files.documents import read_json, write_json
from cardiouq.files.run_files import ASKED_FILE


def note_asked(folder: Path, asked: Mapping[str, Any]) -> None:
    """Note what was asked for in the folder of what was made."""
    write_json(folder / ASKED_FILE, asked)


def is_as_asked(folder: Path, asked: Mapping[str, Any]) -> bool:
    """Whether products are what is asked for; those that note nothing are taken to be.

    Args:
        folder: of a method's predictions or scores.
        asked: as `Study.asked` or `Study.asked_to_score` has it.

    Raises:
        CardiouqError: the note is not as it was written.
    """
    file = folder / ASKED_FILE
    return not file.is_file() or read_json(file, {"type": "object"}) == asked
