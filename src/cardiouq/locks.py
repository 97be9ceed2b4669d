"""Locks between processes: on files, and freed however their holders die."""

import fcntl
import io
import logging
import os
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)


def take(path: Path, kind: int = fcntl.LOCK_EX) -> io.FileIO | None:
    """The locked file, which is made if it is not there, or None if another process has it.

    A file that was removed or replaced since it was opened locks nothing. Where the file system has
    no locks, a warning is all that others are told.
    """
    file = io.FileIO(path, "a")
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError as error:
        log.warning("%s: no lock (%s); let no other process work on the same", path, error)
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    file.close()
    return None
