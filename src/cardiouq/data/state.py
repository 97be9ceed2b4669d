"""The state of the scans on disk; when it changes, the case table is made again."""

import hashlib
from pathlib import Path

from cardiouq.data.readers.adapters import ADAPTERS
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.readers.pseudonyms import on_disk
from cardiouq.errors import CardiouqError


def state_of(data: DataFolder) -> str:
    """A hash of all that the rows of a data set are made from.

    That is what its adapter finds in names and tables, and of each file that is read for it where
    it is, also behind links, its size and its time: a date that goes back is a change like any
    other. No name can be read off it.
    """
    try:
        adapter = ADAPTERS[data.layout]
        found, problems = adapter.find(data)
        files = sorted({path for case in found for path in (case.image, case.label)})
        seen = [adapter.known_labels(data.root), problems, found, *map(_file_state, files)]
    except (CardiouqError, OSError) as error:  # listing the cases tells it
        return f"cannot be listed: {type(error).__name__}"
    text = "\n".join(map(str, seen))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _file_state(path: Path) -> str:
    try:
        file = on_disk(path).resolve()
        status = file.stat()
    except OSError:
        return f"{path}: missing"
    return f"{file} {status.st_size} {status.st_mtime_ns}"
