"""Rule figure_coverage_distorted: what conformal intervals hold as a distortion grows."""

from cardiouq.errors import reported_to_user
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.coverage_distorted import draw_coverage_distorted
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    figure = draw_coverage_distorted(
        read_rows(snakemake.input.coverage),
        unescaped(snakemake.params.methods),
        snakemake.params.distorted,
    )
    write_figure(figure, "figure_coverage_distorted.rst", snakemake)
