"""Rules print_*: one table for machines and, in three forms, for people."""

import json
from importlib import import_module

from cardiouq.errors import reported_to_user
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.shown import unescaped
from cardiouq.reporting.writing import write_table

with reported_to_user(snakemake.log[0]):
    table, files = snakemake.params.table, snakemake.input
    rows, printed = import_module(f"cardiouq.reporting.tables.{table}").make(
        {name: read_rows(files[name]) for name in snakemake.params.reads if files[name]},
        json.loads(unescaped(snakemake.params.study)),
        render_caption(f"{table}.rst", snakemake),
    )
    write_table(rows, printed, snakemake.output)
