"""Rule write_provenance: which state the study's results come from."""

import json
from pathlib import Path

from cardiouq.errors import reported_to_user
from cardiouq.files.documents import write_json
from cardiouq.files.writing import atomic_write
from cardiouq.provenance.describe import describe, printed
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.printing import Cell, PrintedTable, to_html
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    params = snakemake.params
    found = describe(
        Path(snakemake.output.json).parent,
        json.loads(unescaped(params.settings)),
        params.runs,
        params.predicted,
        snakemake.input.summaries,
        snakemake.input.products,
    )
    write_json(Path(snakemake.output.json), found)
    page = PrintedTable(
        render_caption("provenance.rst", snakemake),
        "provenance",
        [("", 3)],
        ["", "what", "value"],
        [[Cell(text) for text in row] for row in printed(found)],
    )
    with atomic_write(snakemake.output.html) as temporary:
        temporary.write_text(to_html(page), encoding="utf-8")
