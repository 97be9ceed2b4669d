"""A method's file of the user's that cannot be used is refused in one sentence that names it."""

from pathlib import Path

import pytest

from tests.study.changes import MakeStudy, Settings, problems_of, set_key

IMPORTS = """from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cardiouq.methods.base import BaseMethod, BaseVariant, setting

"""
DECORATED = "@dataclass(frozen=True)\n"
CLASS = "class Method(BaseMethod):\n    "
TYPES = "bool, int, float, str, a Literal, several of these (`|`) or a Sequence of one"
LOST = "['w'] would be no settings; write `@dataclass(frozen=True)` above the class"


def problem_of(make_study: MakeStudy, tiny: Settings, file: Path, code: str) -> str:
    """What is said of a method of that code, without the place in the study."""
    file.write_text(IMPORTS + code, encoding="utf-8")
    tiny["methods"]["vanilla"]["method"] = file.name
    [problem] = problems_of(make_study, tiny)
    place, _, text = problem.partition(": ")
    assert place == "methods.vanilla.method"
    return text


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("w: list[int] = setting((1, 2), help='')", f"`w` is of type list[int]; expected {TYPES}"),
        ("w: tuple = setting((1, 2), help='')", f"`w` is of type tuple; expected {TYPES}"),
        ("w: tuple[int, ...] = ()", f"`w` is of type tuple[int, ...]; expected {TYPES}"),
        ("w: Sequence = setting((1, 2), help='')", "`w` is of type Sequence; expected"),
        ("w: list[int] | None = setting(None, help='')", "`w` is of type list[int] | None; exp"),
        ("w: Sequence[Sequence[int]] | dict = ()", "Sequence[int]] | dict; expected"),
        ("w: int", "setting `w` has no default; write `= setting(<default>, help=...)`"),
    ],
)
def test_setting_of_a_type_that_may_not_be_is_named_with_those_that_may(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path, field: str, problem: str
) -> None:
    text = problem_of(make_study, tiny, tmp_path / "mine.py", DECORATED + CLASS + field)
    assert text.startswith(f"{tmp_path / 'mine.py'}, class Method: setting `w` ")
    assert problem in text


@pytest.mark.parametrize(
    "field", ["w: int = setting(1, help='')", "w = setting(1, help='')", "w: int = 1"]
)
def test_settings_of_a_class_that_is_no_dataclass_are_named(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path, field: str
) -> None:
    text = problem_of(make_study, tiny, tmp_path / "mine.py", CLASS + field)
    assert text.startswith(f"{tmp_path / 'mine.py'}, class Method: {LOST}")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (DECORATED + CLASS + "w = setting(1, help='')", ", line 7: TypeError: 'w' is a field but"),
        (f"@dataclass\n{CLASS}w: int = 1", ", line 7: TypeError: cannot inherit non-frozen"),
        (
            DECORATED + CLASS + "w: Sequence[int] = setting([1], help='')",
            ", line 7: ValueError: mutable default <class 'list'> for field w is not allowed",
        ),
        ("import torchh", ", line 7: ModuleNotFoundError: No module named 'torchh'"),
        ("{}['x']", ", line 7: KeyError: 'x'"),  # no sign that the file is not there
        ("class Method(BaseMethod)\n", ": SyntaxError: expected ':' (mine.py, line 7)"),
    ],
)
def test_file_that_python_cannot_run_is_named_with_the_line(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path, code: str, problem: str
) -> None:
    text = problem_of(make_study, tiny, tmp_path / "mine.py", code)
    assert text.startswith(f"{tmp_path / 'mine.py'}{problem}")
    assert text.endswith(
        "expected a file that Python can run, as the one of docs/adding-a-method.md"
    )


def test_type_that_is_not_imported_is_named(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path
) -> None:
    code = DECORATED + CLASS + "w: 'Elsewhere' = setting(1, help='')"
    text = problem_of(make_study, tiny, tmp_path / "mine.py", code)
    assert text == f"{tmp_path / 'mine.py'}, class Method: name 'Elsewhere' is not defined"


@pytest.mark.parametrize("code", ["", "Method = 3", "class Method: ...", "Method = BaseVariant"])
def test_file_without_a_class_of_a_method_is_refused(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path, code: str
) -> None:
    text = problem_of(make_study, tiny, tmp_path / "mine.py", code)
    assert text.startswith(f"'{tmp_path / 'mine.py'}' is not one of ['bayes_by_backprop', ")
    assert text.endswith("nor the path of a file with a class Method that is a BaseMethod")


@pytest.mark.parametrize("place", ["recipes.hmc.variant.name", "methods.vanilla.method"])
def test_user_s_file_that_is_not_there_is_named_where_it_was_looked_for(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path, place: str
) -> None:
    [problem] = problems_of(make_study, set_key(tiny, place, "own/nowhere.py"))
    assert problem.startswith(f"{place}: '{tmp_path / 'own' / 'nowhere.py'}' is not one of ")


def test_user_s_file_without_a_variant_is_refused(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path
) -> None:
    (tmp_path / "empty.py").write_text("", encoding="utf-8")
    tiny["recipes"]["cyclical"]["variant"] = {"name": "empty.py"}
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("recipes.cyclical.variant.name: ")
    assert "empty.py" in problem
