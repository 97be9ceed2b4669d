"""The record of what made a result: code, packages, machine. Imports no torch."""

import hashlib
import json
import platform
import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from cardiouq.errors import CardiouqError
from cardiouq.files.documents import read_json, write_json
from cardiouq.files.run_files import MACHINE_FILE

PACKAGE = "cardiouq"
NOT_RECORDED = "not recorded"
COMPUTING = ("python", "torch", "monai", "numpy")
"""Packages that decide the numbers of a training or a prediction."""
MACHINES = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "device": {"type": "string", "minLength": 1},
            "precision": {"type": "string", "pattern": r"^(float32|bfloat16)(, compiled)?\Z"},
            "code": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
            "packages": {"type": "string", "minLength": 1},  # earlier versions noted none
        },
        "required": ["device", "precision", "code"],
        "additionalProperties": False,
    },
}
"""JSON schema of a `machine.json`."""


def repository() -> Path:
    """Folder that holds the code: the repository, or the package where there is none."""
    package = Path(__file__).parents[1]
    root = package.parents[1]
    return root if (root / "Snakefile").is_file() else package


def check_code_of(folder: Path) -> None:
    """Raise a CardiouqError unless a checkout's code runs: the folder's own, if it is one."""
    package = Path(__file__).parents[1]
    own = folder / "src" / package.name
    another = own.is_dir() and not own.samefile(package)
    if another or repository() == package:
        source = folder / "src" if another else "a checkout's src"
        raise CardiouqError(
            f"{package}: is the code that runs, and not {source}; set PYTHONPATH to that folder "
            "and give the same command again"
        )


def code_files(root: Path) -> dict[str, str]:
    """Path -> hash of every file of the code; of a repository its package, workflow and papers."""
    parts = [root]
    if (root / "Snakefile").is_file():  # results, of many files, may lie beside the code
        names = ("Snakefile", "src", "workflow", "config/published", "config/schemas")
        parts = [root / name for name in names]
    found = [path for part in parts for path in (part, *part.rglob("*"))]
    named = {str(path.relative_to(root)): path for path in sorted(found) if path.is_file()}
    return {
        name: sha256(path.read_bytes())[:16]
        for name, path in named.items()
        if not re.search(r"(^|/)(__pycache__|[^/]*\.egg-info|\.[^/]*)(/|$)", name)
    }


def code_hash(root: Path) -> str:
    """Hash of all files of the code together."""
    return sha256(json.dumps(code_files(root), sort_keys=True).encode())[:16]


def git_version(root: Path) -> str:
    """Commit as `git describe` calls it, `-dirty` if files differ from it."""
    try:
        top, name = (
            subprocess.run(
                ["git", "-C", str(root), *command],
                capture_output=True,
                encoding="utf-8",
                check=True,
            ).stdout.strip()
            for command in (["rev-parse", "--show-toplevel"], ["describe", "--always", "--dirty"])
        )
    except (OSError, subprocess.CalledProcessError):
        return NOT_RECORDED
    return name if Path(top).resolve() == root.resolve() else NOT_RECORDED  # not of a folder around


def packages() -> dict[str, str]:
    """Python and every direct dependency of the code that runs -> its version.

    Where neither a repository nor an installation says what these are, `cardiouq` itself is what
    is not installed.
    """
    found = {"python": platform.python_version()}
    for name in sorted(re.split(r"[^\w.-]", line)[0] for line in _dependencies()):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def computing_packages() -> str:
    """Versions of the packages that decide numbers, as text."""
    found = packages()
    return ", ".join(f"{name} {found[name]}" for name in COMPUTING if name in found)


def _dependencies() -> list[str]:
    """What the code needs, each as `name>=version`, without what extras need."""
    file = repository() / "pyproject.toml"
    if file.is_file():
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        return list(project["dependencies"])
    try:  # pip leaves the file out
        lines = requires(PACKAGE) or []
    except PackageNotFoundError:
        return [PACKAGE]
    return [line for line in lines if not re.search(r";.*\bextra\b", line)]


def note_machine(folder: Path, device: str, precision: str) -> None:
    """Add this machine, code and packages to those that worked on a folder; a resumed run has
    several."""
    noted = machines(folder)
    here = {
        "device": device,
        "precision": precision,
        "code": code_hash(repository()),
        "packages": computing_packages(),
    }
    if here not in noted:
        write_json(folder / MACHINE_FILE, [*noted, here])


def machines(folder: Path) -> list[dict[str, str]]:
    """Machines noted in a folder; a file that is not as it was written is a CardiouqError."""
    file = folder / MACHINE_FILE
    return read_json(file, MACHINES) if file.is_file() else []


def sha256(content: bytes) -> str:
    """SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
