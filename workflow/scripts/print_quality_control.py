"""Rule print_quality_control: what review takes and saves, for machines and for people."""

from cardiouq.errors import reported_to_user
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.quality_control import print_quality_control
from cardiouq.reporting.shown import as_written
from cardiouq.reporting.writing import write_table

with reported_to_user(snakemake.log[0]):
    rows = read_rows(snakemake.input.table)
    printed = print_quality_control(
        rows,
        as_written(snakemake.params.methods),
        as_written(snakemake.params.test_sets),
        render_caption("quality_control.rst", snakemake),
    )
    write_table(rows, printed, snakemake.output)
