"""Rule print_repeats: each method's numbers over its repeats."""

from cardiouq.errors import reported_to_user
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.repeats import print_repeats
from cardiouq.reporting.writing import write_table
from cardiouq.tables import read_rows

with reported_to_user(snakemake.log[0]):
    rows = read_rows(snakemake.input.repeats)
    printed = print_repeats(
        rows,
        snakemake.params.methods,
        snakemake.params.test_sets,
        render_caption(snakemake.input.caption, snakemake),
    )
    write_table(rows, printed, snakemake.output)
