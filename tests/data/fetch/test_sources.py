"""The table of data sets is whole, and a row that cannot be used is named."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cardiouq.data.fetch.sources import read_sources
from cardiouq.errors import CardiouqError, ProblemsError
from tests.data.fetch.server import Site, source_of, write_sources


def test_shipped_table_has_every_data_set(repository: Path) -> None:
    sources = read_sources(repository / "config" / "data_sources.csv")
    assert {name: source.access for name, source in sources.items()} == {
        "acdc": "open",
        "mnms": "form",
        "ukbb": "application",
        "t1t2maps": "private",
    }
    assert sources["acdc"].bytes == 2_452_590_457
    assert sources["acdc"].archive_folder == "ACDC/database"
    cited = [source.citation for source in sources.values()]
    assert all(re.fullmatch(r"10\.\d{4}/\S+|MELBA 2024:011", citation) for citation in cited)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": ""}, "line 2: dataset is empty"),
        ({"apply_at": ""}, "line 2: apply_at is empty"),
        ({"access": "free"}, "access is 'free'; expected one of"),
        ({"url": "ftp://x"}, "url is 'ftp://x'"),
        ({"bytes": 0}, "bytes is '0'"),
        ({"bytes": "1e9"}, "bytes is '1e9'"),
        ({"sha256": "ab"}, "sha256 is 'ab'; an open data set needs 64"),
        ({"archive_folder": "../x"}, "archive_folder is '../x'"),
        ({"archive_folder": "x/"}, "archive_folder is 'x/'"),
        ({"access": "form"}, "url is 'http"),
    ],
)
def test_row_that_cannot_be_used_is_named(
    site: Site, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    good = source_of(site)
    table = write_sources(tmp_path / "sources.csv", good)
    assert read_sources(table) == {"acdc": good}
    write_sources(table, replace(good, **changes))
    with pytest.raises(ProblemsError) as caught:
        read_sources(table)
    assert str(table) in str(caught.value)
    assert any(words in problem for problem in caught.value.problems)


def test_table_that_cannot_be_read_is_an_error(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CardiouqError, match="no such file"):
        read_sources(tmp_path / "none.csv")
    table = write_sources(tmp_path / "sources.csv", source_of(site), source_of(site))
    with pytest.raises(ProblemsError, match="line 3: acdc is given twice"):
        read_sources(table)
    table.write_text(
        table.read_text(encoding="utf-8").replace("licence", "license"), encoding="utf-8"
    )
    with pytest.raises(CardiouqError, match="'license'"):
        read_sources(table)
