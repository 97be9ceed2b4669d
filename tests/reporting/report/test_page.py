"""The report's page: all in one file, in order, and texts are text."""

import base64
import io
import json
import re
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from cardiouq.reporting.printing import Cell, PrintedTable, to_html
from cardiouq.reporting.report.page import Picture, PrintedFile, make_report
from cardiouq.reporting.report.summary import FIRST, Entry, Row, Summary
from tests.browser import needs_browser, run_in_page

METHODS = ("Plain", "Deep Ens.", "<b>Own</b> & new", "SWA", "BBB", "SSN")
TITLE = "A study of <script>document.title = 'ran'</script>"


def summary(domain: str, n_subjects: int) -> Summary:
    rows = [
        Row(
            method,
            (Entry(f"0.{9 - k}", "[0.1, 1.0]", FIRST if k == 0 else ""),) * 4,
            k + 1,
            240,
            k == 0,
        )
        for k, method in enumerate(METHODS)
    ]
    return Summary(f"Set {domain}", domain, 2 * n_subjects, n_subjects, rows)


def png(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(stream, "png")
    return stream.getvalue()


def report(note: str = "Only a test.") -> str:
    rows = [[Cell(f"m{k}"), Cell(str(k))] for k in range(8)]
    printed = [
        PrintedTable(f"Caption {k}.", f"tab:{k}", [("", 2)], ["Method", "x"], rows)
        for k in range(3)
    ]
    figures = ["fig3_uncertainty_maps", "training_curves", "reliability"]
    return make_report(
        title=TITLE,
        about="3 methods.",
        note=note,
        summaries=[summary("ID", 10), summary("OOD", 4)],
        confidence=0.95,
        verdict=["Of 3 numbers: 1 reproduced."],
        tables=[
            PrintedFile(f"Table {k}", f"reporting/tables/t{k}", to_html(table))
            for k, table in enumerate(printed)
        ],
        figures=[
            Picture(name, f"reporting/figures/{name}", f"Caption of {name}.", png(1400, 900))
            for name in figures
        ],
        pages={"Data": '<p title="a">Every subject</p>'},
        viewer="reporting/cases/index.html",
    )


@pytest.fixture(scope="module")
def page() -> str:
    return report()


def test_answer_comes_before_verdict_tables_figures_and_pages(page: str) -> None:
    parts = [
        "Only a test.",
        'id="answer"',
        'class="sortable summary"',
        "1 reproduced",
        'class="glance"',
    ]
    parts += ["Caption 0.", "Caption 2.", "Caption of training_curves.", "Every subject"]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)


def test_page_needs_no_other_file(page: str) -> None:
    sources = re.findall(r'\bsrc="([^"]*)"', page)
    assert len(sources) == 2 + 3  # two of the figures are shown small too
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"<link|@import|url\(|https?:", page)


def test_links_lead_to_files_beside_the_report(page: str) -> None:
    links = set(re.findall(r'href="([^"#]+)"', page))
    tables = {
        f"reporting/tables/t{k}.{form}" for k in range(3) for form in ("html", "csv", "tex", "md")
    }
    names = ("fig3_uncertainty_maps", "training_curves", "reliability")
    figures = {f"reporting/figures/{name}.{form}" for name in names for form in ("png", "pdf")}
    assert links == tables | figures | {"reporting/cases/index.html"}


def test_links_on_the_page_have_their_place(page: str) -> None:
    with_verdict = page.replace('id="table-t2"', 'id="table-verdict"')
    with_verdict = with_verdict.replace('id="table-t1"', 'id="table-comparisons"')
    anchors = set(re.findall(r'href="#([^"]+)"', with_verdict))
    assert len(anchors) > 6
    assert anchors <= set(re.findall(r'\bid="([^"]+)"', with_verdict))


def test_viewer_is_linked_above_and_beside_the_figures(page: str) -> None:
    assert page.count('href="reporting/cases/index.html"') == 2


def test_study_without_a_caveat_has_none(page: str) -> None:
    assert "Before you read on" in page
    assert "Before you read on" not in report(note="")


def test_numbers_of_few_subjects_are_folded(page: str) -> None:
    folded = re.findall(r"<details>\s*<summary>Numbers where.*?</details>", page, re.DOTALL)
    assert len(folded) == 1 and "Set OOD" in folded[0] and "Set ID" not in folded[0]


def test_the_first_two_tables_are_unfolded(page: str) -> None:
    folds = re.findall(r'<details id="table-t\d"( open)?>', page)
    assert folds == [" open", " open", ""]


def test_pictures_are_small_where_they_lead_to_the_whole(page: str) -> None:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    sizes = [Image.open(io.BytesIO(base64.b64decode(uri))).size for uri in found]
    assert sizes == [(640, 411)] * 2 + [(1400, 900)] * 3


@needs_browser
def test_texts_are_text_and_the_summary_sorts_and_filters(page: str, tmp_path: Path) -> None:
    script = """
    const table = document.querySelector(".summary");
    const methods = () => [...table.querySelectorAll("tbody tr")]
      .filter((row) => !row.hidden).map((row) => row.cells[1].textContent);
    table.querySelectorAll("th")[2].click();
    const sorted = methods();
    const field = document.querySelector("#answer input");
    field.value = "id deep";
    field.dispatchEvent(new Event("input"));
    const title = document.querySelector("h1").textContent;
    tell(JSON.stringify([sorted, methods(), document.title, title]));
    """
    told = run_in_page(page, script, tmp_path)
    ascending = [*reversed(METHODS)]
    assert json.loads(unescape(told)) == [ascending, ["Deep Ens."], TITLE, TITLE]
