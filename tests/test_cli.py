"""The command `cardiouq`: what it prints, how it ends, what its help and the documents show."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cardiouq.cli import main, parser
from cardiouq.data.readers.pseudonyms import KEY_FILE, participants
from cardiouq.study.study import Study
from tests.paths import ROOT

COMMANDS = ("status", "compare", "export", "apply", "pseudonym")
PROVENANCE = {
    "state": {"code": {"version": "1"}, "config": {}, "data": {}, "packages": {}, "device": {}},
    "results": {"table.csv": "0123"},
}


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own."""
    command = [sys.executable, "-m", "cardiouq.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_installed_command_is_this_one() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    module, function = settings["project"]["scripts"]["cardiouq"].split(":")
    assert getattr(import_module(module), function) is main


def test_status_is_of_the_study_in_this_folder(
    make_study: Callable[[dict[str, Any]], Study],
    tiny: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = make_study(tiny)
    (tmp_path / study.results / "data").mkdir(parents=True)
    (tmp_path / study.results / "data" / "split.csv").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["status", study.file.name, "--jobs", "2"]) == 0
    printed = capsys.readouterr().out
    assert "training polynomial" in printed
    assert re.search(r"^data +1 +5$", printed, re.MULTILINE)
    assert "With 2 at once" in printed
    said = []
    for device in ("cpu", "cuda"):
        assert main(["status", study.file.name, "--device", device]) == 0
        said += re.findall("^Device time: .*", capsys.readouterr().out, re.MULTILINE)
    assert said[0] != said[1]


@pytest.mark.parametrize(("changed", "ends_with"), [(False, 0), (True, 1)])
def test_compare_ends_with_whether_anything_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: bool, ends_with: int
) -> None:
    (tmp_path / "a").write_text(json.dumps(PROVENANCE), encoding="utf-8")
    other = PROVENANCE | ({"results": {"table.csv": "4567"}} if changed else {})
    (tmp_path / "b").write_text(json.dumps(other), encoding="utf-8")
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == ends_with
    lines = capsys.readouterr().out.splitlines()
    assert ("  table.csv: 0123 -> 4567" in lines) is changed
    assert lines[-1].startswith("The same state")


def test_pseudonym_leads_to_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / KEY_FILE).write_text("0123456789abcdef" * 4, encoding="utf-8")
    (tmp_path / "1000013").mkdir()
    [name] = participants(tmp_path)
    assert main(["pseudonym", str(tmp_path), name]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/1000013\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "nothing"), "there is no such study"),
        (("status", "nothing.yaml"), "nothing.yaml: there is no such study"),
        (("compare", "no.json", "no.json"), "no.json: cannot be read"),
        (("pseudonym", "nowhere", "p0"), "nowhere/pseudonym.key: missing"),
        (("status", "demo", "--jobs", "-2"), "--jobs: -2; expected 1 or more"),
        (("state", "demo"), "invalid choice: 'state'"),
        ((), "the following arguments are required"),
    ],
)
def test_errors_are_words_and_end_with_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_help_lists_every_command() -> None:
    listed = re.findall(r"^    (\w+)  +\S", run("--help").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_the_command_takes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, examples = help_of(command, capsys).split("examples:\n")
    for line in examples.strip().splitlines():
        name, *arguments = shlex.split(line.partition("&&")[0], comments=True)
        assert name == "cardiouq"
        assert parser().parse_args(arguments).run.__name__ == command


def test_commands_in_the_documents_are_taken() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("workflow/report/*.rst")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    shown = re.findall(rf"\bcardiouq ((?:{'|'.join(COMMANDS)}) .+?)(?=`|\n|\. )", text)
    assert {command.split()[0] for command in shown} == set(COMMANDS)
    for command in shown:
        parser().parse_args(shlex.split(command))
