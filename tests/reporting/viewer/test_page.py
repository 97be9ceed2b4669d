"""The viewer's files: a page that needs no other but the scans' own, and texts that stay texts."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardiouq.reporting.viewer.page import write_viewer
from tests.reporting.viewer.made_up import CRITERIA, METHODS, make_scan

HOSTILE = '</script><script>document.title="ran"</script>'


def data_of(page: str) -> dict[str, Any]:
    """What the page knows of all scans."""
    [found] = re.findall(r'<script id="page" type="application/json">(.*?)</script>', page)
    return dict(json.loads(found))


def pictures_in(file: Path) -> dict[str, Any]:
    """What the file of a scan hands over."""
    [(name, found)] = re.findall(
        r'^received\("(.*?)", (.*)\);\n$', file.read_text(encoding="utf-8")
    )
    assert name == file.name
    return dict(json.loads(found))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    scans = [
        make_scan("b/1", {"vanilla": 0.8, "ensemble": np.nan}),
        make_scan(HOSTILE, {"vanilla": 0.91234567, "ensemble": 0.5}),
    ]
    folder = tmp_path / "cases"
    write_viewer(folder, scans, METHODS, CRITERIA, f"Cases of {HOSTILE}", "All & <more>.")
    return folder


def test_every_scan_has_a_file_whose_name_is_only_a_number(written: Path) -> None:
    names = {file.name for file in written.iterdir()}
    assert names == {"index.html", "case-0000.js", "case-0001.js", "SHA256SUMS"}
    page = data_of((written / "index.html").read_text(encoding="utf-8"))
    assert [(case["name"], case["file"]) for case in page["cases"]] == [
        ("b/1", "case-0000.js"),
        (HOSTILE, "case-0001.js"),
    ]
    for case in page["cases"]:
        pictures = pictures_in(written / case["file"])
        assert pictures["images"][case["middle"]] == case["thumbnail"]["image"]
        assert pictures["readings"].keys() == METHODS.keys()


def test_numbers_have_four_digits_and_missing_ones_are_null(written: Path) -> None:
    page = data_of((written / "index.html").read_text(encoding="utf-8"))
    first, second = (case["readings"] for case in page["cases"])
    assert first["ensemble"]["numbers"] == [None, 0.4]
    assert second["vanilla"]["numbers"] == [0.9123, 0.2]
    of_slices = pictures_in(written / "case-0000.js")["readings"]["vanilla"]["of_slices"]
    assert of_slices[3] == {"Dice": {"LV": 0.3, "mean": None}, "entropy": {"mean": 0.0}}


def test_page_is_on_its_own_and_text_is_no_markup(written: Path) -> None:
    page = (written / "index.html").read_text(encoding="utf-8")
    assert "://" not in page.replace("http://www.w3.org/", "")  # names of HTML and SVG
    assert HOSTILE not in page
    assert page.count("<script") == page.count("</script>") == 2
    assert "Deep &lt;Ens.&gt;" in page
    assert "All &amp; &lt;more&gt;." in page


def test_viewer_is_whole_or_not_there(tmp_path: Path) -> None:
    def scans() -> Any:
        yield make_scan("a", {"vanilla": 0.8, "ensemble": 0.7})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_viewer(tmp_path / "cases", scans(), METHODS, CRITERIA, "Cases", "")
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
