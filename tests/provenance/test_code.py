"""What computes a result is its script and all that this imports, followed by content."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardiouq.provenance import code
from cardiouq.provenance.code import SCRIPTS, SOURCE, code_of, digest_of, modules_of


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The code, to be changed."""
    shutil.copytree(SOURCE / "cardiouq", tmp_path / "src" / "cardiouq")
    shutil.copytree(SCRIPTS, tmp_path / "scripts")
    monkeypatch.setattr(code, "SOURCE", tmp_path / "src")
    monkeypatch.setattr(code, "SCRIPTS", tmp_path / "scripts")
    remembered = (code._imported_by, code._files_of, code._hash_of)
    for function in remembered:
        function.cache_clear()
    yield tmp_path
    for function in remembered:
        function.cache_clear()


def test_script_and_further_files_are_followed_by_content(copy: Path) -> None:
    caption = copy / "caption.rst"
    caption.write_text("one", encoding="utf-8")
    seen = set()
    for file, text in (("caption.rst", "two"), ("scripts/data_page.py", "# other"), ("x", "")):
        code._hash_of.cache_clear()
        seen.add(code_of("data_page", caption)(None))
        (copy / file).write_text(text, encoding="utf-8")
    assert len(seen) == 3


def test_what_a_further_module_imports_is_followed_too(copy: Path) -> None:
    module = copy / "src/cardiouq/reporting/tables/clinical.py"
    assert copy / "src/cardiouq/evaluation/clinical.py" in modules_of("print_table", module)
    assert copy / "src/cardiouq/evaluation/clinical.py" not in modules_of("print_table")


def test_what_stands_beside_a_package_is_followed_with_it(copy: Path) -> None:
    style = copy / "src/cardiouq/reporting/templates/page.css"
    printing = copy / "src/cardiouq/reporting/printing.py"
    assert style in modules_of("print_table", printing)
    assert style not in modules_of("compare")


@pytest.mark.parametrize("named", ["gone.py", "phantom_signal.py", "scans.py"])
def test_file_to_follow_that_is_not_there_is_an_error(tmp_path: Path, named: str) -> None:
    """Rather than a list that has lost one."""
    with pytest.raises(FileNotFoundError, match=named):
        digest_of([tmp_path / named])
