"""The data page: data sets, what is odd about them, and every subject, in one HTML file."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

from cardiouq.data.integrity import FLAGS, NOT_SPLIT, count_flags
from cardiouq.reporting.printing import NOTHING
from cardiouq.reporting.slices import Window, load_scan, middle_slice
from cardiouq.reporting.style import STRUCTURE_COLOURS, use_style

PIXELS = 144
"""Side of a thumbnail, in pixels."""
MARGIN = 20.0
"""Margin of what is shown around the heart, in mm."""


@dataclass(frozen=True)
class Thumbnail:
    """One subject on the page.

    Attributes:
        subject: its name.
        phase: of the case that is shown.
        side: of the split.
        flags: names of the subject's flags.
        alt: says in words what is shown.
        png: base64.
    """

    subject: str
    phase: str
    side: str
    flags: list[str]
    alt: str
    png: str


def make_data_page(
    cases: pd.DataFrame, split: pd.DataFrame, checks: pd.DataFrame, title: str, caption: str
) -> str:
    """Make the page as HTML.

    Args:
        split: sides of the subjects that were split.
        checks: flags, from `check_cases`.
        title: the study's.
        caption: plain text.
    """
    cases = cases.merge(
        split[["dataset", "subject", "split"]], "left", ["dataset", "subject"], validate="m:1"
    )
    cases["split"] = cases["split"].fillna(NOT_SPLIT)
    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, autoescape=True, undefined=StrictUndefined
    )
    counts = count_flags(checks)
    # numbers, as a subject's name may hold what an id must not
    subjects = cases[["dataset", "subject"]].drop_duplicates().itertuples(index=False)
    anchors = {tuple(subject): f"subject-{number}" for number, subject in enumerate(subjects)}
    return environment.from_string(_HTML).render(
        title=title,
        caption=caption,
        datasets={
            name: describe(of_dataset, checks) for name, of_dataset in cases.groupby("dataset")
        },
        kinds=[(name, flag.when, *counts.loc[name]) for name, flag in FLAGS.items()],
        checks=checks.to_dict("records"),
        sheets={
            name: list(draw_thumbnails(of_dataset, checks))
            for name, of_dataset in cases.groupby("dataset")
        },
        anchors=anchors,
        colours=STRUCTURE_COLOURS,
        pixels=PIXELS,
    )


def describe(cases: pd.DataFrame, checks: pd.DataFrame) -> dict[str, str]:
    """Describe one data set: heading -> entry."""
    subjects = cases.drop_duplicates("subject")
    flagged = cases.loc[cases["case"].isin(checks["case"]), "subject"].nunique()
    return {
        "subjects": str(len(subjects)),
        "cases": str(len(cases)),
        "subjects with a flag": str(flagged),
        "subjects by side of the split": _count(subjects["split"]),
        "subjects by part": _count(subjects["part"]),
        "subjects by vendor": _count(subjects["vendor"]),
        "subjects by pathology": _count(subjects["pathology"]),
        "cases by phase": _count(cases["phase"]),
        "slices": _range(cases["slices"]),
        "rows": _range(cases["rows"]),
        "columns": _range(cases["columns"]),
        "slice distance, mm": _range(cases["spacing_z"]),
        "pixel, mm": _range(pd.concat([cases["spacing_y"], cases["spacing_x"]])),
        "not annotated": _not_annotated(cases),
    }


def _not_annotated(cases: pd.DataFrame) -> str:
    """Share of the voxels that are `ignore`, and in how many cases."""
    ignored = cases["ignored_voxels"]
    share = ignored.sum() / (cases["slices"] * cases["rows"] * cases["columns"]).sum()
    return f"{share:.1%} of the voxels, in {(ignored > 0).sum()} cases" if share else NOTHING


def _count(values: "pd.Series[str]") -> str:
    """Each value and how often it is there; subjects are counted once."""
    counts = values[values != ""].value_counts().sort_index()
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or NOTHING


def _range(values: "pd.Series[float]") -> str:
    low, high = (f"{value:.3g}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def draw_thumbnails(cases: pd.DataFrame, checks: pd.DataFrame) -> Iterator[Thumbnail]:
    """Draw a thumbnail of each subject of one data set: its first case, or its first flagged one.

    Args:
        cases: rows of the case table, with the subjects' side of the `split`.
        checks: flags, from `check_cases`.
    """
    use_style()
    figure = Figure(figsize=(1, 1), dpi=PIXELS)
    flags_of = checks.groupby("case")["flag"].agg(set).to_dict()
    for subject, of_subject in cases.groupby("subject"):
        names = list(of_subject["case"])
        flags = set().union(*(flags_of.get(case, ()) for case in names))
        row = of_subject.iloc[next((n for n, case in enumerate(names) if case in flags_of), 0)]
        scan = load_scan(of_subject, row["case"])
        z = middle_slice(scan.reference)
        yield Thumbnail(
            subject=str(subject),
            phase=row["phase"],
            side=row["split"],
            flags=[name for name in FLAGS if name in flags],
            alt=f"{row['case']}, slice {z} of {len(scan.image)} (from 0), with the reference",
            png=_draw(figure, scan.image[z], scan.reference[z], scan.spacing),
        )


def _draw(
    figure: Figure,
    image: np.ndarray[Any, Any],
    reference: np.ndarray[Any, Any],
    spacing: tuple[float, float],
) -> str:
    figure.clear()
    axes = figure.add_axes((0, 0, 1, 1))
    window = Window.around(reference, spacing, MARGIN)
    window.show_image(axes, image)
    window.draw_contours(axes, reference, linewidth=0.6)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor="black", metadata={"Software": None})
    return base64.b64encode(stream.getvalue()).decode()


_HTML = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Data of {{ title }}</title>
<style>
body { font: 14px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { max-width: 60rem; margin: 0 0 .5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
th, td { padding: .2rem .6rem; text-align: left; vertical-align: top; }
th { font-weight: 600; }
thead { border-bottom: 1px solid; }
tbody tr + tr { border-top: 1px solid #ddd; }
td { font-variant-numeric: tabular-nums; max-width: 30rem; }
td.long { max-width: 48rem; }
td.name { white-space: nowrap; }
a { color: #0b57a4; }
.sheet { display: flex; flex-wrap: wrap; gap: .5rem; }
figure { margin: 0; width: {{ pixels }}px; padding: 3px; border: 3px solid transparent; }
figure.flagged { border-color: #d00000; }
figure:target { background: #ffe9a8; }
img { display: block; background: #000; }
figcaption { font-size: 11px; line-height: 1.3; overflow-wrap: anywhere; padding-top: 2px; }
figcaption span { color: #666; }
figcaption b { display: block; color: #b00000; }
.key { border-bottom: 3px solid; padding: 0 .2rem; margin-right: .8rem; }
</style>
</head>
<body>
<h1>Data of {{ title }}</h1>
<p>{{ caption }}</p>

<h2>Data sets</h2>
<table>
<thead>
<tr><th>data set</th>{% for name in datasets %}<th>{{ name }}</th>{% endfor %}</tr>
</thead>
<tbody>
{% for heading in (datasets.values() | first) %}
<tr><td class="name">{{ heading }}</td>
{%- for entries in datasets.values() %}<td>{{ entries[heading] }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>

<h2>Checks</h2>
<div class="wide">
<table>
<thead>
<tr><th>flag</th><th>raised when</th><th>cases</th><th>subjects</th></tr>
</thead>
<tbody>
{% for name, when, cases, subjects in kinds %}
<tr><td class="name">{{ name }}</td><td class="long">{{ when }}</td><td>{{ cases }}</td>
<td>{{ subjects }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>

<h2>Flags</h2>
{% if checks %}
<div class="wide">
<table>
<thead>
<tr><th>data set</th><th>case</th><th>flag</th><th>found</th><th>expected</th></tr>
</thead>
<tbody>
{% for row in checks %}
<tr><td>{{ row.dataset }}</td>
<td class="name"><a href="#{{ anchors[row.dataset, row.subject] }}">{{ row.case }}</a></td>
<td class="name">{{ row.flag }}</td><td>{{ row.found }}</td><td>{{ row.expected }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
{% else %}
<p>None.</p>
{% endif %}

{% for name, thumbnails in sheets.items() %}
<h2>{{ name }}: {{ thumbnails | length }} subject{{ "s" if thumbnails | length != 1 }}</h2>
<p>
{% for structure, colour in colours.items() %}
<span class="key" style="border-color: {{ colour }}">{{ structure }}</span>
{% endfor %}
</p>
<div class="sheet">
{% for shown in thumbnails %}
<figure id="{{ anchors[name, shown.subject] }}"{% if shown.flags %} class="flagged"{% endif %}>
<img src="data:image/png;base64,{{ shown.png }}" width="{{ pixels }}" height="{{ pixels }}"
 alt="{{ shown.alt }}">
<figcaption>{{ shown.subject }} {{ shown.phase }} <span>{{ shown.side }}</span>
{%- for flag in shown.flags %}<b>{{ flag }}</b>{% endfor %}</figcaption>
</figure>
{% endfor %}
</div>
{% endfor %}
</body>
</html>
"""
