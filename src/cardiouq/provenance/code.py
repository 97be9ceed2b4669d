"""The code that a rule's result depends on: its script and what that imports of the package.

Snakemake does not see what a script imports. Rules that are cheap name their script's code in a
parameter, so that a change computes anew what depends on it, whatever the files' dates and paths.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from cardiouq.provenance.record import repository, sha256

SOURCE = Path(__file__).parents[2]
SCRIPTS = repository() / "workflow" / "scripts"


def code_of(script: str, *files: Path) -> Callable[[Any], str]:
    """A rule's parameter: a hash of what its script runs, made when the rule has a job.

    Args:
        script: name of a file in `workflow/scripts`, without `.py`.
        files: what else is to be followed by its content, such as a caption, or a module that the
            script imports by a name that it is told.
    """
    return lambda wildcards: digest_of(
        [SCRIPTS / f"{script}.py", *files, *modules_of(script, *files)]
    )


def digest_of(files: Iterable[Path]) -> str:
    """Sixteen hex digits that change with the content of the files, and with nothing else."""
    return sha256("\n".join(map(_hash_of, files)).encode())[:16]


def modules_of(script: str, *files: Path) -> list[Path]:
    """Files of the package that a script and further modules import, at any remove."""
    found: set[Path] = set()
    left = [SCRIPTS / f"{script}.py", *(file for file in files if file.suffix == ".py")]
    while left:
        new = _imported_by(left.pop()) - found
        found |= new
        left += (file for file in new if file.suffix == ".py")
    return sorted(found)


@cache
def _imported_by(file: Path) -> frozenset[Path]:
    """Files of the package that one file imports anywhere in it."""
    names = set(_names(ast.parse(file.read_bytes())))
    return frozenset(path for name in names for path in _files_of(name))


def _names(tree: ast.Module) -> Iterator[str]:
    """Dotted names that may be modules: of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _files_of(name: str) -> frozenset[Path]:
    """A module's file and those of the packages that it is in; none of other packages.

    A package's are its `__init__.py` and what stands beside that and is no Python, as templates.
    """
    parts = name.split(".")
    folders = [Path(SOURCE, *parts[:depth]) for depth in range(1, len(parts) + 1)]
    found = [file for folder in folders for file in folder.glob("[!.]*") if _is_of_package(file)]
    return frozenset(
        file for file in [*found, Path(SOURCE, *parts).with_suffix(".py")] if file.is_file()
    )


def _is_of_package(file: Path) -> bool:
    return file.name == "__init__.py" or file.suffix != ".py"


@cache
def _hash_of(file: Path) -> str:
    return sha256(file.read_bytes())
