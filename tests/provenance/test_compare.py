"""A file to be compared that is none is one clear error."""

from pathlib import Path

import pytest

from cardiouq.errors import CardiouqError
from cardiouq.provenance.compare import read_provenance


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", "state: missing"),
        ("[1]", "is not of type object"),
        ('{"state": {"code": {}}, "results": {}}', "state.code.version: missing"),
        ("Not Found", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_file_that_is_no_provenance_is_one_clear_error(
    tmp_path: Path, text: str | None, found: str
) -> None:
    file = tmp_path / "provenance.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(CardiouqError) as caught:
        read_provenance(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert found in str(caught.value)
    with pytest.raises(CardiouqError) as of_folder:
        read_provenance(tmp_path)
    assert str(of_folder.value) == str(caught.value)
