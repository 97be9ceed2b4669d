"""Rules print_*: one table for machines and, in three forms, for people."""

import json

from cardiouq.errors import reported_to_user
from cardiouq.files.documents import read_yaml
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.shown import as_written
from cardiouq.reporting.tables.published import files_of, read_claims, read_published
from cardiouq.reporting.tables.study_tables import make_table
from cardiouq.reporting.writing import write_table

with reported_to_user(snakemake.log[0]):
    # none of a study that stands beside no paper
    published, claims, paper_study = files_of(snakemake.params.paper) or (None, None, None)
    found = {name: read_rows(snakemake.input[name]) for name in ("summary", "comparisons", "ranks")}
    if snakemake.input.distortions:
        for name in ("distortions", "quality_control"):
            found[name] = read_rows(snakemake.input[name][0])
    rows, printed = make_table(
        snakemake.params.table,
        found,
        read_published(published),
        read_claims(claims),
        json.loads(as_written(snakemake.params.study)),
        read_yaml(paper_study) if paper_study else None,
        render_caption(f"{snakemake.params.table}.rst", snakemake),
    )
    write_table(rows, printed, snakemake.output)
