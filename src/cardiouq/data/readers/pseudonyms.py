"""Participants of gated data under keyed pseudonyms: their ids leave the data's folder nowhere.

A root that holds a key has one folder per participant, named by the participant's id. Everything
that is written (tables, logs, file names, error messages) says `<root>/<pseudonym>/...` instead,
a path that `on_disk` leads back to the folder. The key lies with the data, so whoever may read the
one may read the other, and the same key gives the same pseudonyms on every machine.
"""

import hmac
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from cardiouq.errors import CardiouqError
from cardiouq.files.writing import visible

KEY_FILE = "pseudonym.key"
FEWEST_BYTES = 32
"""Bytes of a key at least, so that ids cannot be guessed by trying all."""
MOST_BYTES = 4096
"""Bytes of a key's file that are read."""
DIGITS = 12
"""Hex digits of a pseudonym: among 10,000 participants two agree with a probability of 2e-7."""


def read_key(root: Path) -> bytes:
    """The key of a data set.

    Raises:
        CardiouqError: if there is none, or it is too short.
    """
    file = root / KEY_FILE
    key = b""
    if file.is_file():
        with file.open("rb") as stream:
            key = stream.read(MOST_BYTES).strip()
    if len(key) < FEWEST_BYTES:
        found = f"{len(key)} bytes" if file.is_file() else "missing"
        raise CardiouqError(
            f"{file}: {found}; expected a secret of at least {FEWEST_BYTES} bytes, from which the "
            f"participants' pseudonyms are made. Make it once with `openssl rand -hex 32 > {file}` "
            "and keep it with the data"
        )
    return key


def pseudonym(key: bytes, participant: str) -> str:
    """The name under which a participant stands everywhere (HMAC-SHA256)."""
    return "p" + hmac.digest(key, participant.encode(), "sha256").hex()[:DIGITS]


@cache
def participants(root: Path) -> dict[str, Path]:
    """Pseudonym -> folder of every participant of a root, in the order of the pseudonyms."""
    key = read_key(root)
    folders = {pseudonym(key, path.name): path for path in visible(root.iterdir()) if path.is_dir()}
    return dict(sorted(folders.items()))


def folder_of(root: Path, name: str) -> Path:
    """The folder of the participant who stands under a pseudonym (`cardiouq pseudonym`).

    Raises:
        CardiouqError: if the root has no key, or the key gives no participant this pseudonym.
    """
    found = participants(root)
    if name not in found:
        raise CardiouqError(
            f"{root}: none of {len(found)} participants stands under {name!r}; expected `p` and "
            f"{DIGITS} digits, as in the column `subject`, of results that were made with the "
            f"{KEY_FILE} which lies there"
        )
    return found[name]


def check_named_apart(paths: Iterable[Path]) -> None:
    """Raise a CardiouqError if a path, be it a link, names the participant whose file is there."""
    roots: dict[Path, Path | None] = {}
    for path in paths:
        file = Path(os.path.realpath(path))  # of a link to itself, too
        folder = file.parent
        if folder not in roots:
            holding = (each for each in folder.parents if (each / KEY_FILE).is_file())
            roots[folder] = next(holding, None)
        if (root := roots[folder]) and file.relative_to(root).parts[0] in str(path):
            raise CardiouqError(
                f"{root}: holds {KEY_FILE}, so its participants' ids may stand nowhere else, and "
                "what comes of these scans would be called by them; expected scans of other names. "
                "Make a folder elsewhere of links to them that hold no id"
            )


def on_disk(path: Path) -> Path:
    """Where the file of a participant is; the path itself, of a file under no pseudonym."""
    name, root = path.parent.name, path.parent.parent
    if path.parent.is_dir() or not (root / KEY_FILE).is_file():
        return path
    return participants(root).get(name, path.parent) / path.name
