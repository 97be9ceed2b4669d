"""Names of a study and within it, and whose a folder of results is: each works, or is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.names import is_name
from cardiouq.study.study import NOTE, Study
from tests.paths import CONFIG


@pytest.fixture
def read_study(tiny: dict[str, Any], local_config: dict[str, Any]) -> Callable[[Path], Study]:
    """Writes the tiny study into a file and reads it."""

    def read(file: Path) -> Study:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(tiny), encoding="utf-8")
        return Study(str(file), local_config, CONFIG)

    return read


@pytest.mark.parametrize(
    "name", ["2022", "1e3", "true", "null", "Größe", "_draft", "a.b+c-d_1", "x" * 240]
)
def test_name_becomes_the_folder_of_results(
    tmp_path: Path, read_study: Callable[[Path], Study], name: str
) -> None:
    assert read_study(tmp_path / f"{name}.yaml").results == f"results/{name}"


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "{x}",
        "-x",
        ".x",
        "+x",
        "50%",
        "what?",
        "x*y",
        "br[1]",
        "#1",
        "a&b",
        "a,b",
        "$HOME",
        "l'été",
        'say "no"',
        "back\\slash",
        "new\nline",
        "trailing ",
    ],
)
def test_name_that_a_pattern_a_shell_or_a_link_reads_otherwise_is_refused(
    tmp_path: Path, read_study: Callable[[Path], Study], name: str
) -> None:
    with pytest.raises(CardiouqError, match="Rename the file") as caught:
        read_study(tmp_path / f"{name}.yaml")
    assert repr(name) in str(caught.value)


def test_longest_name_is_one_clear_error(local_config: dict[str, Any]) -> None:
    with pytest.raises(CardiouqError, match="name too long"):
        Study("x" * 300, local_config, CONFIG)


def test_second_study_of_a_name_is_refused_with_both(
    tmp_path: Path, read_study: Callable[[Path], Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    first = read_study(Path("../first/own.yaml"))
    first.check_results()
    assert list(Path().iterdir()) == []  # a dry run writes nothing
    first.note_study()
    assert Path(first.results, NOTE).read_text(encoding="utf-8") == "../first/own.yaml"
    for again in (Path("../first/own.yaml"), tmp_path / "first" / "own.yaml"):
        read_study(again).check_results()
    for second in ("own.yaml", "../second/own.yaml", "../first/own.yml"):
        with pytest.raises(CardiouqError, match="rename one") as caught:
            read_study(Path(second)).check_results()
        assert "results/own: " in str(caught.value)
        assert "../first/own.yaml" in str(caught.value)
        assert second in str(caught.value)


@pytest.mark.parametrize("inside", [True, False], ids=["with the study", "without"])
def test_results_may_be_moved(
    tmp_path: Path,
    read_study: Callable[[Path], Study],
    monkeypatch: pytest.MonkeyPatch,
    inside: bool,
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    study = Path("own.yaml") if inside else tmp_path / "own.yaml"
    read_study(study).note_study()
    (tmp_path / "a" / "b").mkdir(parents=True)
    shutil.move(tmp_path / "work", tmp_path / "a" / "b" / "moved")
    monkeypatch.chdir(tmp_path / "a" / "b" / "moved")
    read_study(study).check_results()


def test_study_itself_may_be_moved(
    tmp_path: Path, read_study: Callable[[Path], Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read_study(Path("own.yaml")).note_study()
    Path("own.yaml").unlink()
    read_study(Path("studies/own.yaml")).check_results()


def test_study_of_the_program_is_the_same_by_name_and_by_path(
    tmp_path: Path, local_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    demo = Study("demo", local_config, CONFIG)
    by_path = Study(str(CONFIG / "studies" / "demo.yaml"), local_config, CONFIG)
    for first, second in ((demo, by_path), (by_path, demo)):
        first.note_study()
        second.check_results()
        assert Path("results/demo", NOTE).read_text(encoding="utf-8") == "demo"
    shutil.copy(CONFIG / "studies" / "demo.yaml", "demo.yaml")
    with pytest.raises(CardiouqError, match="rename one"):
        Study("demo.yaml", local_config, CONFIG).check_results()


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("methods", "vanilla\n"),
        ("methods", "a|b"),
        ("methods", "swa-repeat-2"),
        ("methods", "x" * 101),
        ("recipes", "cyclical\n"),
        ("recipes", "{recipe}"),
        ("recipes", "../up"),
        ("test_sets", "A\n"),
        ("test_sets", "A+noise-1"),
        ("test_sets", "a b"),
        ("test_sets", "x" * 101),
        ("datasets", ""),
        ("datasets", "two\nlines"),
        ("datasets", " acdc"),
        ("datasets", "\N{RIGHT-TO-LEFT OVERRIDE}cdca"),
        ("datasets", "x" * 201),
    ],
)
def test_name_that_cannot_stand_in_a_path_is_refused(
    make_study: Any, tiny: dict[str, Any], section: str, name: str
) -> None:
    tiny[section][name] = next(iter(tiny[section].values()))
    with pytest.raises(ProblemsError) as caught:
        make_study(tiny)
    assert any(problem.startswith(f"{section}: {name!r} ") for problem in caught.value.problems)


REFUSED = [
    "two\nlines",
    "a\ttab",
    "title\n\n.. raw:: html\n\n   <b>",
    "null\0",
    "escape\x1b[31m",
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "a\N{LEFT-TO-RIGHT ISOLATE}b",
    "next\x85line",
    "zero\N{ZERO WIDTH SPACE}width",
    "\N{ZERO WIDTH NO-BREAK SPACE}mark",
    "line\u2028end",
    "x" * 300,
    "",
    " ",
    " x",
    "x\N{NO-BREAK SPACE}",
]


@pytest.mark.parametrize("place", ["title", "methods.swa.label", "test_sets.phantom-A.label"])
def test_text_that_cannot_be_seen_or_has_several_lines_is_refused(
    make_study: Any, tiny: dict[str, Any], place: str
) -> None:
    *way, key = place.split(".")
    block = tiny
    for part in way:
        block = block[part]
    for text in REFUSED:
        block[key] = text
        with pytest.raises(ProblemsError) as caught:
            make_study(tiny)
        [problem] = caught.value.problems
        assert problem.startswith(f"{place}: {text!r} is no name; expected 1 to 200 visible")


def test_text_may_be_whatever_can_be_read(
    make_study: Any, tiny: dict[str, Any], hostile: list[str]
) -> None:
    assert len(hostile) >= 30
    assert [name for name in hostile if not is_name(name)] == []
    tiny["title"], tiny["methods"]["swa"]["label"] = hostile[:2]
    tiny["datasets"][hostile[2]] = tiny["datasets"]["phantom-mnms"]
    assert make_study(tiny)["title"] == hostile[0]


def test_test_sets_that_differ_in_capitals_alone_are_refused(
    make_study: Any, tiny: dict[str, Any]
) -> None:
    tiny["test_sets"]["phantom-a"] = tiny["test_sets"]["phantom-A"] | {"label": "Another"}
    with pytest.raises(ProblemsError) as caught:
        make_study(tiny)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "test_sets.phantom-A",
        "test_sets.phantom-a",
    ]


def test_home_in_a_study_is_written_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny: dict[str, Any],
    local_config: dict[str, Any],
    repository: Path,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy(repository / "src/cardiouq/methods/single.py", tmp_path / "mine.py")
    tiny["methods"]["vanilla"]["method"] = "~/mine.py"
    tiny["datasets"]["ours"] = {"layout": "csv", "source": "~/data/ours"}
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "own.yaml").write_text(yaml.safe_dump(tiny), encoding="utf-8")
    study = Study("~/studies/own.yaml", local_config, CONFIG)
    assert study.source("ours") == tmp_path / "data" / "ours"
    assert study["methods"]["vanilla"]["method"] == str(tmp_path / "mine.py")
