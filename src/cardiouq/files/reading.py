"""Readers of other jobs' files, which are compared with the hashes noted when they were made.

What was compared is what is parsed: a file is read once. One without a hash is of a version that
noted none, or its writer was killed just before; it is taken as it is, and its hash is noted.
"""

import hashlib
import io
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cardiouq.errors import CardiouqError
from cardiouq.files.run_files import RUN_FILE
from cardiouq.files.writing import HASHES_FILE, hash_file_of, read_hashes

log = logging.getLogger(__name__)

Content = TypeVar("Content")

OF_FOLDERS = (".npy", ".gz", ".safetensors")
"""Suffixes of files that jobs make by the folder."""
FOLDERS_UP = 2
"""Number of folders from a checkpoint up to its run's."""
FOLDERS_KEPT = 16
"""Number of folders whose hashes are kept in memory."""


def read(path: str | Path) -> bytes:
    """Read the bytes of a file that another job made.

    Raises:
        CardiouqError: it is missing, or not as it was made.
    """
    return _as_made(Path(path), _read_and_hash)


def read_array(path: Path) -> NDArray[Any]:
    """Read an array of `numpy.save`.

    Raises:
        CardiouqError: as `read`, or it is none.
    """
    content = read(path)
    return _parsed(path, lambda: np.load(io.BytesIO(content)))


def map_array(path: Path) -> "np.memmap[Any, Any]":
    """Map an array of `numpy.save`, which stays on disk, into memory; it is compared once, here.

    Raises:
        CardiouqError: as `read_array`.
    """
    _as_made(path, lambda stream: (hashlib.file_digest(stream, "sha256").hexdigest(), None))
    return _parsed(path, lambda: np.load(path, mmap_mode="r"))


def was_made(path: Path) -> bool:
    """Tell whether a job made a file, which not all methods have, even if it is lost since."""
    return path.is_file() or any(
        name in _hashes_in(hash_file) for hash_file, name in _in_folders(path)
    )


def to_delete(path: Path) -> Path:
    """Path that is made again together with a file: the folder that one job makes, or the file."""
    for folder in path.parents[:FOLDERS_UP]:
        if (folder / HASHES_FILE).is_file() or (folder / RUN_FILE).is_file():
            return folder
    return path.parent if path.suffix in OF_FOLDERS else path


def _read_and_hash(stream: io.BufferedReader) -> tuple[str, bytes]:
    content = stream.read()
    return hashlib.sha256(content).hexdigest(), content


def _as_made(path: Path, look: Callable[[io.BufferedReader], tuple[str, Content]]) -> Content:
    """What `look` makes of a file beside its hash, once that hash is the one noted."""
    while True:
        made, hash_file = _noted(path)
        try:
            with path.open("rb") as stream:
                found, content = look(stream)
        except FileNotFoundError as error:
            raise CardiouqError(
                f"{path}: missing; expected what an earlier step made; delete {to_delete(path)}, "
                "if it is there, and run again"
            ) from error
        if found == made:
            return content
        if _noted(path) == (made, hash_file):  # else it has just been written anew
            break
    if made:
        raise CardiouqError(
            f"{path}: is not as it was made: its SHA-256 is {found}, and {hash_file} says {made}; "
            f"delete {to_delete(path)} and run again"
        )
    _take_up(path, found)
    return content


def _noted(path: Path) -> tuple[str, Path | None]:
    """The hash noted of a file and where it stands; "" if it has none."""
    for hash_file, name in [(hash_file_of(path), path.name), *_in_folders(path)]:
        if hashes := _hashes_in(hash_file):
            if name not in hashes:
                raise CardiouqError(
                    f"{path}: {hash_file} has no hash of it; delete {to_delete(path)} and run again"
                )
            return hashes[name], hash_file
    return "", None


def _in_folders(path: Path) -> list[tuple[Path, str]]:
    """Where the hashes of a folder may stand, and what a file is called there."""
    folders = path.parents[:FOLDERS_UP]
    return [(folder / HASHES_FILE, str(path.relative_to(folder))) for folder in folders]


def _hashes_in(hash_file: Path) -> dict[str, str]:
    try:
        state = hash_file.stat()
    except FileNotFoundError:
        return {}
    return _hashes_of_state(hash_file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=FOLDERS_KEPT)
def _hashes_of_state(hash_file: Path, changed: int, size: int) -> dict[str, str]:
    """`read_hashes` of a file in a state."""
    return read_hashes(hash_file)


def _take_up(path: Path, digest: str) -> None:
    _say_taken_up(path.parent)
    # where nothing can be written it is taken as it is each time; another process may be quicker
    with suppress(OSError), hash_file_of(path).open("x", encoding="utf-8") as stream:
        stream.write(f"{digest}  {path.name}\n")


@cache
def _say_taken_up(folder: Path) -> None:
    """Warn, once a process for each folder, that files are taken as they are."""
    log.warning(
        "%s: holds files that no hash was noted of when they were made, as earlier versions noted "
        "none; they are taken as they are, and compared from now on",
        folder,
    )


def _parsed(path: Path, load: Callable[[], Content]) -> Content:
    try:
        return load()
    except (ValueError, EOFError) as error:
        raise CardiouqError(
            f"{path}: is no array of NumPy's ({error}); delete {to_delete(path)} and run again"
        ) from error
