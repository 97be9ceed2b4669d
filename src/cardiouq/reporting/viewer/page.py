"""The viewer's folder: a page with the list of scans, and a file of pictures for each of them.

A browser that opens the page from disk may not read files beside it but run them, so the file of a
scan is a script, which hands its pictures to the page when the scan is opened. Written anew, a file
of that name may be another scan's; a digest tells a page that was opened before.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cardiouq.files.writing import atomic_folder
from cardiouq.reporting.slices import middle_slice
from cardiouq.reporting.style import STRUCTURE_COLOURS
from cardiouq.reporting.templates import render
from cardiouq.reporting.viewer.drawing import MOST_BITS, css_colours
from cardiouq.reporting.viewer.pictures import ViewedScan, pictures_of

PAGE = "index.html"
TEMPLATE = Path(__file__).with_name("viewer.html")


@dataclass(frozen=True)
class Criterion:
    """What the list may be sorted by.

    Attributes:
        label: as it is printed.
        metric, row: where it stands in the numbers of the scan.
        low_is_worse: whether the lowest value comes first.
    """

    label: str
    metric: str
    row: str
    low_is_worse: bool


def write_viewer(
    folder: str | Path,
    scans: Iterable[ViewedScan],
    methods: Mapping[str, str],
    criteria: Sequence[Criterion],
    title: str,
    caption: str,
    missing: Sequence[str] = (),
) -> None:
    """Write the viewer, whole or not at all; `index.html` is its page.

    `index.html#case=NAME&method=KEY&frame=1&slice=3` opens a place; all but the case may be left
    out, and what is counted begins at 1.

    Args:
        folder: takes the place of what is there.
        scans: made one by one, as only one is in memory.
        methods: key -> printed label, in order; every scan has a reading of each.
        criteria: what to sort by; the first is where the list begins.
        title: heading of the page.
        caption: says in plain text what is shown.
        missing: in plain text, of each scan that there is nothing to show of, why.
    """
    with atomic_folder(folder) as written:
        entries = []
        for number, scan in enumerate(scans):
            file = f"case-{number:04}.js"  # a name may hold what a file's must not
            pictures = pictures_of(scan)
            entry = _entry(scan, file, pictures, criteria)
            digest = hashlib.sha256(_as_json([entry, pictures]).encode()).hexdigest()
            text = f"received({json.dumps(file)}, {_as_json(pictures | {'digest': digest})});\n"
            (written / file).write_text(text, encoding="utf-8")
            entries.append(entry | {"digest": digest})
        page = {
            "methods": methods,
            "colours": STRUCTURE_COLOURS,
            "criteria": [asdict(criterion) for criterion in criteria],
            "cases": entries,
        }
        (written / PAGE).write_text(_html(page, title, caption, missing), encoding="utf-8")


def _entry(
    scan: ViewedScan, file: str, pictures: Mapping[str, Any], criteria: Sequence[Criterion]
) -> dict[str, Any]:
    """A scan in the list, with its middle slice."""
    seen = [reading.segmentation for reading in scan.readings.values()]
    z = middle_slice((seen[0] if scan.reference is None else scan.reference)[0])
    reference = pictures["reference"]
    return {
        "name": scan.name,
        "about": scan.about,
        "file": file,
        "middle": z,
        "thumbnail": {key: pictures[key] for key in ("size", "spacing", "views")}
        | {"image": pictures["images"][z], "reference": reference and reference[z]},
        "readings": {
            method: {
                "outlines": pictures["readings"][method]["outlines"][z],
                "numbers": [reading.of_scan[each.metric][each.row] for each in criteria],
            }
            for method, reading in scan.readings.items()
        },
    }


def _as_json(value: Any) -> str:
    """JSON that may stand in a script element; numbers have four digits, missing ones are null."""
    text = json.dumps(_rounded(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}") if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _rounded(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(below) for below in value]
    return value


def _html(page: Mapping[str, Any], title: str, caption: str, missing: Sequence[str]) -> str:
    return render(
        TEMPLATE,
        title=title,
        caption=caption,
        missing=missing,
        methods=page["methods"],
        criteria=page["criteria"],
        colours=page["colours"],
        shades=css_colours(),
        most_bits=MOST_BITS,
        page=_as_json(page),
    )
