"""Locks between processes: on files, and freed however their holders die.

They hold on a network file system as far as that passes `flock` on, as NFS does.
"""

import atexit
import fcntl
import io
import logging
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path

from cardiouq.errors import CardiouqError

log = logging.getLogger(__name__)

LOCK_SUFFIX = ".lock"
"""Suffix of the names of files that lock another."""
SECONDS_BETWEEN_TRIES = 2.0


def try_lock(path: Path, kind: int = fcntl.LOCK_EX) -> io.FileIO | None:
    """Lock a file, which is made if it is not there; None if another process has it.

    A file that was removed or replaced since it was opened locks nothing. Where the file system has
    no locks, a warning is all that others are told.
    """
    file = io.FileIO(path, "a+")  # on NFS a lock needs a file open for both
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError as error:
        _warn_of_no_locks(path.parent, str(error))
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    file.close()
    return None


@cache
def _warn_of_no_locks(folder: Path, error: str) -> None:
    """Warn once a process, however many files of a folder are to be locked."""
    log.warning("%s: no locks (%s); let no other process work on the same", folder, error)


def exclusive_lock(path: Path) -> AbstractContextManager[None]:
    """Wait until no other process works on a path, as one that outlived its Snakemake may."""
    return _locked(path, fcntl.LOCK_EX)


def shared_lock(path: Path) -> AbstractContextManager[None]:
    """Wait until no other process writes at a path, and let others read there, but none write."""
    return _locked(path, fcntl.LOCK_SH)


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    lock_file = path.with_name(f".{path.name}{LOCK_SUFFIX}")
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    lock = try_lock(lock_file, kind)
    if lock is None:
        log.info("another process works on %s; waiting for its end", path)
    while lock is None:
        time.sleep(SECONDS_BETWEEN_TRIES)
        lock = try_lock(lock_file, kind)
    with lock:
        try:
            yield
        finally:
            # others may read on; and an error would hide why the work failed
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock_file.unlink()


@cache  # for the life of the process
def lock_results(folder: Path) -> io.FileIO:
    """Keep other processes from working on what is in a folder for as long as this one lives.

    Raises:
        CardiouqError: if one does already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.absolute() / LOCK_SUFFIX  # Snakemake changes directories
    lock = try_lock(path)
    if lock is None:
        raise CardiouqError(
            f"{folder}: another Snakemake works on these results, maybe in another working "
            "directory or on another machine; each would remove what the other one has just made. "
            "Wait for its end or stop it, and give the same command again"
        )
    atexit.register(path.unlink, missing_ok=True)
    return lock
