"""The page of the report: what is on it, and how files of a study stand in it."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from cardiouq.evaluation.bootstrap import FEWEST_SUBJECTS
from cardiouq.reporting.embedded import data_uri
from cardiouq.reporting.printing import table_in
from cardiouq.reporting.report.answer import advise, count_detectors, name_leaders
from cardiouq.reporting.report.summary import MEASURES, Summary
from cardiouq.reporting.templates import render

TEMPLATE = Path(__file__).with_name("report.html")
COLOURS = 256
"""Colours of a picture on the page, a third of the bytes; the file beside it has all."""
SMALL = 640
"""Width of a picture that leads to the whole one, in pixels."""
GLANCE = ("fig3_uncertainty_maps", "reliability", "quality_cost")
"""Figures that are shown small below the answer."""
OPEN_TABLES = 2
"""Number of tables that are unfolded at first."""


@dataclass(frozen=True)
class Product:
    """A table or figure: its title, and the path of its files without suffix."""

    title: str
    path: str

    @property
    def name(self) -> str:
        """What it is called in links on the page."""
        return Path(self.path).name


@dataclass(frozen=True)
class PrintedFile(Product):
    """A printed table, with its page."""

    page: str

    @property
    def table(self) -> Markup:
        """The table alone, which is HTML."""
        return Markup(table_in(self.page))


@dataclass(frozen=True)
class Picture(Product):
    """A figure, with its caption and its PNG."""

    caption: str
    png: bytes

    @property
    def whole(self) -> str:
        """The figure as a data URI."""
        return _in_page(_opened(self.png))

    @property
    def small(self) -> str:
        """The figure in `SMALL` as a data URI."""
        image = _opened(self.png)
        image.thumbnail((SMALL, image.height))
        return _in_page(image)


def make_report(
    *,
    title: str,
    about: str,
    note: str,
    summaries: Sequence[Summary],
    confidence: float,
    verdict: Sequence[str],
    tables: Sequence[PrintedFile],
    figures: Sequence[Picture],
    pages: Mapping[str, str],
    viewer: str,
) -> str:
    """Make the report as HTML that needs no other file.

    Args:
        title: the study's.
        about: a sentence on what was compared.
        note: the study's own caveat; empty if there is none.
        confidence: of the intervals.
        verdict: sentences from `count_verdicts`.
        tables, figures: in the order of the page.
        pages: title -> page that stands in the report.
        viewer: path of the page of cases from the report's folder.
    """
    return render(
        TEMPLATE,
        title=title,
        about=about,
        note=note,
        summaries=summaries,
        measures=MEASURES,
        fewest=FEWEST_SUBJECTS,
        confidence=f"{100 * confidence:g}",
        advise=advise,
        count_detectors=count_detectors,
        name_leaders=name_leaders,
        verdict=verdict,
        tables=tables,
        open_tables=OPEN_TABLES,
        figures=figures,
        glance=[figure for figure in figures if figure.name in GLANCE],
        pages=pages,
        viewer=viewer,
    )


def _opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def _in_page(image: Image.Image) -> str:
    return data_uri(image.quantize(COLOURS), "png", optimize=True)
