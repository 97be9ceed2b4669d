"""Rule figure_coverage: what conformal intervals hold and how wide they are, of every method."""

from cardiouq.errors import reported_to_user
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.coverage import draw_coverage
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    figure = draw_coverage(
        read_rows(snakemake.input.coverage),
        unescaped(snakemake.params.methods),
        unescaped(snakemake.params.test_sets),
    )
    write_figure(figure, "figure_coverage.rst", snakemake)
