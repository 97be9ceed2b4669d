"""The tiny study, run once from a copy of the repository that tests may change."""

import base64
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from tests.paths import TINY
from tests.workflow.forked import run_snakemake

SHORT = 5
"""Characters of a secret that chance may spell."""
COPIED = ("Snakefile", "config", "profiles", "src", "workflow", "envs", "pyproject.toml")


@dataclass(frozen=True)
class Workflow:
    """A copy of the repository, a study and a working directory."""

    repository: Path
    study: str
    directory: Path

    @property
    def results(self) -> Path:
        """Folder of the tiny study's results."""
        return self.directory / "results" / "tiny"

    def run(
        self,
        *options: str,
        study: str = "",
        directory: Path | None = None,
        config: Sequence[str] = (),
        forked: bool = True,
    ) -> "subprocess.CompletedProcess[str]":
        """Run Snakemake, quickly by forks unless told not to; stdout and stderr are one text."""
        arguments = self._arguments(options, study, directory, config)
        if forked:
            return run_snakemake(arguments, self._environment())
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )

    def plan(
        self,
        *options: str,
        study: str = "",
        directory: Path | None = None,
        config: Sequence[str] = (),
    ) -> "Planned":
        """What Snakemake would do."""
        arguments = self._arguments(("--dry-run", *options), study, directory, config)
        done = run_snakemake(arguments, self._environment())
        assert done.returncode == 0, done.stdout
        return Planned(done.stdout)

    def _arguments(
        self, options: Sequence[str], study: str, directory: Path | None, config: Sequence[str]
    ) -> list[str]:
        arguments = ["--cores", "2", "--snakefile", str(self.repository / "Snakefile")]
        arguments += ["--directory", str(directory or self.directory)]
        return [*arguments, *options, "--config", f"study={study or self.study}", *config]

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CARDIOUQ_")}
        return kept | {"OMP_NUM_THREADS": "1"}


class Planned:
    """The jobs that a dry run lists."""

    def __init__(self, text: str) -> None:
        self.text = text
        table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", text, re.DOTALL)
        if table is None:
            assert "Nothing to be done" in text, text
        lines = table[1].splitlines() if table else []
        self.jobs = {line.split()[0]: int(line.split()[1]) for line in lines}

    @property
    def trainings(self) -> list[str]:
        """`<recipe> <member>` of every training."""
        pattern = r"^ +output: .*training/(\w+)-[0-9a-f]{8}/seed-([^/]+)/trained"
        found = re.findall(pattern, self.text, re.MULTILINE)
        return sorted({f"{recipe} {member}" for recipe, member in found})


@contextmanager
def made_newer(paths: Sequence[Path]) -> Iterator[None]:
    """Give files the present time, and afterwards their own again."""
    kept = [(path, path.stat()) for path in paths]
    assert kept
    now = time.time()
    try:
        for path, _ in kept:
            os.utime(path, (now, now))
        yield
    finally:
        for path, status in kept:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextmanager
def edited_file(path: Path, text: str) -> Iterator[None]:
    """Give a file another text, and afterwards its own again."""
    content = path.read_text(encoding="utf-8")
    with made_newer([path]):
        path.write_text(text, encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(content, encoding="utf-8")


def made_longer(path: Path, text: str) -> AbstractContextManager[None]:
    """Add text to a file, and afterwards take it away again."""
    return edited_file(path, path.read_text(encoding="utf-8") + text)


def files_to_share(results: Path) -> list[Path]:
    """What docs/data.md says may be shared of a study."""
    files = [results / name for name in ("report.html", "provenance.json")]
    files += [results / "data" / name for name in ("split.csv", "checks.csv", "plan.json")]
    folders = [results / name for name in ("reporting", "evaluation")]
    return [*files, *(p for folder in folders for p in folder.rglob("*") if p.is_file())]


def contents(content: bytes) -> Iterator[bytes]:
    """A file's bytes, and those of what is compressed or encoded in it."""
    yield content
    for stream in re.finditer(rb"stream\r?\n(.*?)endstream", content, re.DOTALL):
        try:
            yield zlib.decompressobj().decompress(stream[1])
        except zlib.error:
            yield stream[1]
    for uri in re.finditer(rb"data:[^\"' ,]*?(;base64)?,([^\"' )]+)", content):
        plain = unquote_to_bytes(uri[2])
        yield from contents(base64.b64decode(plain + b"==") if uri[1] else plain)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        for chunk in re.finditer(rb"zTXt[^\0]+\0\0(.*?)....(?=IDAT|IEND)", content, re.DOTALL):
            yield zlib.decompressobj().decompress(chunk[1])


def holds(content: bytes, secret: str) -> bool:
    """Whether a secret is in a content; a short one, which voxels may spell, as a word of a text
    that is no program of the report's."""
    if len(secret) > SHORT:
        return secret.encode() in content
    with suppress(UnicodeDecodeError):
        code = r"<(script|style)\b.*?</\1>|data:[^\"' ]*"
        text = re.sub(code, "", content.decode(), flags=re.DOTALL)
        return bool(re.search(rf"\b{re.escape(secret)}\b", text))
    return False


@pytest.fixture
def shared_files() -> Callable[[Path], list[Path]]:
    return files_to_share


@pytest.fixture
def found_in() -> Callable[[Sequence[Path], set[str]], set[tuple[str, str]]]:
    """Finds (name of a file, secret) in files."""

    def found(files: Sequence[Path], secrets: set[str]) -> set[tuple[str, str]]:
        return {
            (path.name, secret)
            for path in files
            for content in contents(path.read_bytes())
            for secret in secrets
            if holds(content, secret)
        }

    return found


@pytest.fixture(scope="session")
def copy_repository(repository: Path) -> Callable[[Path], Path]:
    """Copies what a run needs of it to a new folder, which is returned."""

    def copied(target: Path) -> Path:
        target.mkdir()
        for name in COPIED:
            if (repository / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(repository / name, target / name, ignore=ignored)
            else:
                shutil.copy2(repository / name, target / name)
        return target

    return copied


@pytest.fixture(scope="module")
def unrun(
    tmp_path_factory: pytest.TempPathFactory, copy_repository: Callable[[Path], Path]
) -> Workflow:
    """The tiny study in a copy of the repository, with nothing run."""
    home = tmp_path_factory.mktemp("workflow")
    (home / "studies").mkdir()
    shutil.copy(TINY, home / "studies" / "tiny.yaml")
    return Workflow(
        copy_repository(home / "repository"),
        str(home / "studies" / "tiny.yaml"),
        home / "work",
    )


@pytest.fixture(scope="module")
def finished(unrun: Workflow) -> Workflow:
    """The tiny study, run from start to end."""
    done = unrun.run()
    assert done.returncode == 0, done.stdout
    return unrun


@pytest.fixture
def fresh(tmp_path: Path, repository: Path) -> Workflow:
    """The repository itself in an empty working directory, with nothing run."""
    return Workflow(repository, "tiny", tmp_path)


@pytest.fixture
def newer() -> Callable[[Sequence[Path]], AbstractContextManager[None]]:
    return made_newer


@pytest.fixture
def longer() -> Callable[[Path, str], AbstractContextManager[None]]:
    return made_longer


@pytest.fixture
def edited() -> Callable[[Path, str], AbstractContextManager[None]]:
    return edited_file


@pytest.fixture
def code_blocks() -> Callable[[Path, str], list[str]]:
    """Finds the blocks of a language in a document."""

    def found(document: Path, language: str) -> list[str]:
        text = document.read_text(encoding="utf-8")
        return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)

    return found


@pytest.fixture
def small_study() -> str:
    """The tiny study with Vanilla alone, on one test set, beside no paper, undistorted."""
    text = TINY.read_text(encoding="utf-8")
    for section, kept in (("methods", "vanilla"), ("test_sets", "phantom-val")):
        lines = re.search(rf"^{section}:\n((?: .*\n)+)", text, re.MULTILINE)
        assert lines
        [line] = re.findall(rf"^  {kept}:.*\n", lines[1], re.MULTILINE)
        text = text.replace(lines[1], line)
    text = re.sub(r"^distortions:\n(?: .*\n)+", "", text, flags=re.MULTILINE)
    text = text.replace("published: acdc-val", "published: null")
    return text.replace("published: zhao2022", "published: null")


@pytest.fixture
def add_to() -> Callable[[str, str], str]:
    """Adds the lines of a block at the end of a study's sections of the same names."""

    def added(study: str, block: str) -> str:
        for section, lines in re.findall(r"^(\w+):\n((?: .*\n)+)", block, re.MULTILINE):
            [found] = re.findall(rf"^{section}:\n(?:(?: .*)?\n)+", study, re.MULTILINE)
            study = study.replace(found, f"{found.rstrip()}\n{lines}\n")
        return study

    return added
