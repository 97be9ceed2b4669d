"""Rules print_*: one table for machines and, in three forms, for people."""

from pathlib import Path

from cardiouq.config import read_yaml
from cardiouq.errors import reported_to_user
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.published import read_claims, read_published
from cardiouq.reporting.study_tables import make_table
from cardiouq.reporting.writing import write_table
from cardiouq.tables import read_rows

with reported_to_user(snakemake.log[0]):
    # none of a study that stands beside no paper
    published, claims, paper_study = snakemake.input.paper or (None, None, None)
    found = {name: read_rows(snakemake.input[name]) for name in ("summary", "comparisons", "ranks")}
    if snakemake.input.distortions:
        for name in ("distortions", "quality_control"):
            found[name] = read_rows(snakemake.input[name][0])
    rows, printed = make_table(
        snakemake.params.table,
        found,
        read_published(published),
        read_claims(claims),
        snakemake.params.study,
        read_yaml(Path(paper_study)) if paper_study else None,
        render_caption(snakemake.input.caption, snakemake),
    )
    write_table(rows, printed, snakemake.output)
