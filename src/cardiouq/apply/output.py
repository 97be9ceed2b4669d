"""Folders of the output: they take the place of those of an earlier call, and of no others."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.files.writing import HASHES_FILE, read_hashes, visible


def check_replaced(output: Path, folders: Mapping[Path, str], asked: Iterable[Path]) -> None:
    """Check that what folders are to take the place of is `apply`'s own.

    Args:
        output: what they lie in.
        folders: each -> a file that `apply` writes to it.
        asked: files that are read; what holds one of them is the user's.

    Raises:
        ProblemsError: the user's own files lie there.
    """
    around = {folder for path in asked for folder in path.resolve().parents}
    if problems := [
        str(folder)
        for folder, file in folders.items()
        if folder.resolve() in around or not _is_ours(folder, file)
    ]:
        raise ProblemsError(
            f"{output}: results go to folders that hold files which `apply` did not write, and "
            "would take their place; give another folder for the results, or move these away:",
            problems,
        )


def _is_ours(folder: Path, file: str) -> bool:
    """Whether a folder is empty, yet to be made, or one that `apply` wrote a file to."""
    if not folder.is_dir():
        return not folder.exists()
    try:
        written = read_hashes(folder / HASHES_FILE)
    except CardiouqError:  # it is another program's
        return False
    return file in written or not visible(folder.iterdir())
