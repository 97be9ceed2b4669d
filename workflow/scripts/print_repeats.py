"""Rule print_repeats: each method's numbers over its repeats."""

from cardiouq.errors import reported_to_user
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.repeats import print_repeats
from cardiouq.reporting.writing import write_table
from cardiouq.shown import as_written
from cardiouq.tables import read_rows

with reported_to_user(snakemake.log[0]):
    rows = read_rows(snakemake.input.repeats)
    printed = print_repeats(
        rows,
        as_written(snakemake.params.methods),
        as_written(snakemake.params.test_sets),
        render_caption("repeats.rst", snakemake),
    )
    write_table(rows, printed, snakemake.output)
