"""Rule view_cases: every test case to leaf through, with what each method makes of it."""

from pathlib import Path

from cardiouq.data.case_table import read_case_table
from cardiouq.errors import reported_to_user
from cardiouq.evaluation.reading import read_tables
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.shown import unescaped
from cardiouq.reporting.viewer import TABLES
from cardiouq.reporting.viewer.page import write_viewer
from cardiouq.reporting.viewer.study import CRITERIA, viewed_cases

with reported_to_user(snakemake.log[0]):
    methods, test_sets = map(unescaped, (snakemake.params.methods, snakemake.params.test_sets))
    scans = viewed_cases(
        read_case_table(snakemake.input.cases),
        read_rows(snakemake.input.test_sets),
        {name: read_tables(snakemake.input[name], test_sets) for name in TABLES},
        Path(snakemake.input.predictions[0]).parents[1],  # prediction/<method>/<test set>
        methods,
        test_sets,
    )
    title = f"Test cases of {unescaped(snakemake.params.title)}"
    caption = render_caption("view_cases.rst", snakemake)
    write_viewer(snakemake.output[0], scans, methods, CRITERIA, title, caption)
