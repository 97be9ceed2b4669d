"""Rule print_repeats: each method's numbers over its repeats."""

from cardiouq.errors import reported_to_user
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.shown import as_written
from cardiouq.reporting.tables.repeats import print_repeats
from cardiouq.reporting.writing import write_table

with reported_to_user(snakemake.log[0]):
    rows = read_rows(snakemake.input.repeats)
    printed = print_repeats(
        rows,
        as_written(snakemake.params.methods),
        as_written(snakemake.params.test_sets),
        render_caption("repeats.rst", snakemake),
    )
    write_table(rows, printed, snakemake.output)
