"""The data page: valid HTML on its own, with every subject and every flag."""

import base64
import io
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from cardiouq.data.integrity import COLUMNS, FLAGS
from cardiouq.reporting.data_page import PIXELS, make_data_page
from cardiouq.reporting.printing import NOTHING

VOID = {"meta", "img", "br"}
SPLIT = pd.DataFrame(
    {"dataset": "made-up", "subject": ["val001", "val002"], "split": ["train", "validation"]}
)
CHECKS = pd.DataFrame(
    [
        ("made-up", "A001", "A001_ES", "volume outlier", "RV <1 ml", "2 to 90 ml"),
        ("made-up", "A001", "A001_ES", "few slices", "2 slice(s)", "3 or more"),
        ("made-up", "val002", "val002_ED", "duplicate image", "same as A001_ES", "no copy"),
    ],
    columns=COLUMNS,
)


class Page(HTMLParser):
    """A page's elements and texts; raises an AssertionError if tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def cases(study: Any) -> pd.DataFrame:
    """The made-up study's case table with what the page describes."""
    columns = {"part": "training", "vendor": "A&B", "pathology": "", "slices": 5, "rows": 64}
    columns["ignored_voxels"] = 0
    return study.cases.assign(**columns, columns=np.arange(len(study.cases)))


@pytest.fixture(scope="module")
def text(cases: pd.DataFrame) -> str:
    return make_data_page(cases, SPLIT, CHECKS, "Tiny <study>", "12 volumes & more.")


def test_page_needs_no_other_file(text: str) -> None:
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert {"link", "script", "iframe"}.isdisjoint(tag for tag, _ in page.elements)
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert "url(" not in text
    assert "://" not in text
    assert "Data of Tiny <study>" in page.texts
    assert "12 volumes & more." in page.texts
    assert "RV <1 ml" in page.texts


def test_every_subject_has_one_thumbnail(text: str, cases: pd.DataFrame) -> None:
    page = Page(text)
    images = page.all("img")
    assert len(images) == cases["subject"].nunique()
    for image in images:
        png = base64.b64decode(image["src"].partition(",")[2])
        assert matplotlib.image.imread(io.BytesIO(png)).shape[:2] == (PIXELS, PIXELS)
        assert len(png) < 60_000
    # the first case, or the first flagged one
    shown = {image["alt"].partition(",")[0] for image in images}
    assert {"val001_ED", "val002_ED", "A001_ES", "A002_ED"} <= shown


def test_contours_have_the_structures_colours(text: str) -> None:
    image = Page(text).all("img")[0]
    png = io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))
    pixels = matplotlib.image.imread(png)[..., :3]
    coloured = (np.ptp(pixels, axis=-1) > 0.2).mean()
    assert 0.02 < coloured < 0.3  # the scan itself is grey


def test_flagged_subjects_are_framed_and_linked(text: str) -> None:
    page = Page(text)
    figures = page.all("figure")
    ids = [figure["id"] for figure in figures]
    assert len(set(ids)) == len(ids)
    flagged = [figure["id"] for figure in figures if figure.get("class") == "flagged"]
    links = Counter(link["href"] for link in page.all("a"))
    assert sorted(links.values()) == [1, 2]
    assert sorted(links) == sorted(f"#{name}" for name in flagged)
    # their names stand below them
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text, re.DOTALL)
    of_a001 = next(caption for caption in captions if caption.startswith("A001"))
    assert re.findall("<b>(.*?)</b>", of_a001) == ["volume outlier", "few slices"]
    assert "not split" in of_a001
    assert "validation" in next(caption for caption in captions if caption.startswith("val002"))


def test_tables_count_subjects_cases_and_flags(text: str) -> None:
    page = " ".join(filter(None, Page(text).texts))
    for words in (
        "subjects 6",
        "cases 12",
        "subjects with a flag 2",
        "cases by phase ED 6, ES 6",
        "not split 4, train 1, validation 1",
        "subjects by vendor A&B 6",
        "columns 0 to 11",
        f"subjects by pathology {NOTHING}",
        "slice distance, mm 10",
        "pixel, mm 1.6 to 1.9",
    ):
        assert words in page
    for name, flag in FLAGS.items():
        count = sum(CHECKS["flag"] == name)
        assert f"{name} {flag.when} {count} {count}" in page


def test_page_without_a_flag_says_so(cases: pd.DataFrame) -> None:
    page = Page(make_data_page(cases, SPLIT, CHECKS[:0], "Tiny", "Caption."))
    assert "None." in page.texts
    assert not any(figure.get("class") for figure in page.all("figure"))


def test_data_sets_have_a_sheet_each_and_may_share_names(cases: pd.DataFrame) -> None:
    other = cases.assign(dataset="other", case="o-" + cases["case"]).iloc[:2]
    both = pd.concat([cases, other], ignore_index=True)
    checks = CHECKS.assign(dataset="other", subject="val001", case="o-val001_ED")[:1]
    page = Page(make_data_page(both, SPLIT, checks, "Tiny", "Caption."))
    assert {"made-up: 6 subjects", "other: 1 subject"} <= set(page.texts)
    flagged = [figure["id"] for figure in page.all("figure") if figure.get("class")]
    assert [link["href"] for link in page.all("a")] == [f"#{flagged[0]}"]
    assert len(flagged) == 1


def test_page_says_how_much_nobody_annotated(cases: pd.DataFrame) -> None:
    voxels = 5 * 64 * cases["columns"].sum()
    in_part = cases.assign(ignored_voxels=[voxels // 8, voxels // 8, *[0] * (len(cases) - 2)])
    page = Page(make_data_page(in_part, SPLIT, CHECKS, "Tiny", "Caption."))
    assert "25.0% of the voxels, in 2 cases" in page.texts
