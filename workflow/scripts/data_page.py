"""Rule data_page: the data sets, their flags and a thumbnail of every subject."""

from cardiouq.data.case_table import read_case_table
from cardiouq.data.integrity import read_checks
from cardiouq.data.split import read_split
from cardiouq.errors import reported_to_user
from cardiouq.files.writing import atomic_write
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.data_page import make_data_page
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    page = make_data_page(
        read_case_table(snakemake.input.cases),
        read_split(snakemake.input.split),
        read_checks(snakemake.input.checks),
        unescaped(snakemake.params.title),
        render_caption("data_page.rst", snakemake),
    )
    with atomic_write(snakemake.output.html) as temporary:
        temporary.write_text(page, encoding="utf-8")
