"""A method's file of the user's that cannot be used is refused in one sentence that names it."""

from pathlib import Path

import pytest
import yaml

from cardiouq.methods.base import Member
from cardiouq.study.study import Study
from tests.paths import CONFIG
from tests.study.changes import MakeStudy, Settings, problems_of, set_key

IMPORTS = """from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cardiouq.methods.base import BaseMethod, BaseVariant
from cardiouq.methods.settings import setting

"""
DECORATED = "@dataclass(frozen=True)\n"
CLASS = "class Method(BaseMethod):\n    "
TYPES = (
    "bool, int, float, str, a Literal, several of these (`|`), a Sequence of one or a Mapping of"
)
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
    assert text.startswith(f"{tmp_path / 'mine.py'}, line 10, class Method: setting `w` ")
    assert problem in text


@pytest.mark.parametrize(
    "field", ["w: int = setting(1, help='')", "w = setting(1, help='')", "w: int = 1"]
)
def test_settings_of_a_class_that_is_no_dataclass_are_named(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path, field: str
) -> None:
    text = problem_of(make_study, tiny, tmp_path / "mine.py", CLASS + field)
    assert text.startswith(f"{tmp_path / 'mine.py'}, line 9, class Method: {LOST}")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (DECORATED + CLASS + "w = setting(1, help='')", ", line 8: TypeError: 'w' is a field but"),
        (f"@dataclass\n{CLASS}w: int = 1", ", line 8: TypeError: cannot inherit non-frozen"),
        (
            DECORATED + CLASS + "w: Sequence[int] = setting([1], help='')",
            ", line 8: ValueError: mutable default <class 'list'> for field w is not allowed",
        ),
        ("import torchh", ", line 8: ModuleNotFoundError: No module named 'torchh'"),
        ("{}['x']", ", line 8: KeyError: 'x'"),  # no sign that the file is not there
        ("class Method(BaseMethod)\n", ", line 8: SyntaxError: expected ':'; exp"),
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
    mine = tmp_path / "mine.py"
    assert text == f"{mine}, line 8, class Method: name 'Elsewhere' is not defined"


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("w: int = setting(1, help='', minimun=2)", "unknown limit `minimun`; did you mean `min"),
        ("w: int = setting(1, help='', minimum='2')", "`minimum`: '2' is not of type 'number'"),
        ("w: int = setting(1, help='', minimum=2)", "its default: 1 is less than the minimum of 2"),
        ("w: int = setting('1', help='')", "its default: '1' is not of type integer"),
    ],
)
def test_limit_that_limits_nothing_and_default_outside_the_limits_are_named(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path, field: str, problem: str
) -> None:
    text = problem_of(make_study, tiny, tmp_path / "mine.py", DECORATED + CLASS + field)
    assert text.startswith(f"{tmp_path / 'mine.py'}, line 10, class Method: setting `w`: {problem}")


def test_error_of_a_method_s_own_code_is_named_with_the_line(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path
) -> None:
    code = DECORATED + CLASS + "def members(self): return self.folds"
    text = problem_of(make_study, tiny, tmp_path / "mine.py", code)
    said = "AttributeError: 'Method' object has no attribute 'folds'"
    assert text == f"{tmp_path / 'mine.py'}, line 10: {said}"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("", "nothing is called Method"),
        ("Method = 3", "3 is called Method"),
        ("class Method: ...", "is called Method"),
        ("Method = BaseVariant", "is called Method"),
    ],
)
def test_file_without_a_class_of_a_method_is_refused(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path, code: str, found: str
) -> None:
    text = problem_of(make_study, tiny, tmp_path / "mine.py", code)
    assert text.startswith(f"{tmp_path / 'mine.py'}: ")
    assert found in text
    assert text.endswith("expected `class Method(BaseMethod):`, as in docs/adding-a-method.md")


@pytest.mark.parametrize("place", ["recipes.hmc.variant.name", "methods.vanilla.method"])
def test_user_s_file_that_is_not_there_is_missing_and_not_called_a_broken_one(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path, place: str
) -> None:
    [problem] = problems_of(make_study, set_key(tiny, place, "own/nowhere.py"))
    assert problem.startswith(f"{place}: {tmp_path / 'own' / 'nowhere.py'}: missing; expected")


def test_user_s_file_without_a_variant_is_refused(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path
) -> None:
    (tmp_path / "empty.py").write_text("", encoding="utf-8")
    tiny["recipes"]["cyclical"]["variant"] = {"name": "empty.py"}
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith(
        f"recipes.cyclical.variant.name: {tmp_path / 'empty.py'}: nothing is called Variant"
    )


def test_runs_are_the_same_however_a_study_is_spelt(
    tiny: Settings, local_config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "studies").mkdir()
    variant = DECORATED + "class Variant(BaseVariant):\n    pass\n"
    (tmp_path / "studies" / "mine.py").write_text(IMPORTS + variant, encoding="utf-8")
    tiny["recipes"]["dropout"]["variant"] = {"name": "mine.py"}
    (tmp_path / "studies" / "own.yaml").write_text(yaml.safe_dump(tiny), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    keys = {
        Study(spelling, local_config, CONFIG).key("dropout", Member())
        for spelling in (
            "studies/own.yaml",
            "./studies/../studies/own.yaml",
            str(tmp_path / "studies" / "own.yaml"),
        )
    }
    assert len(keys) == 1
