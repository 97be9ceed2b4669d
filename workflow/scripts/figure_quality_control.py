"""Rule figure_quality_control: how many slices to flag until few enough are left poor."""

from cardiouq.errors import reported_to_user
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.quality_control import draw_quality_control
from cardiouq.reporting.rows import looks_of
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    figure = draw_quality_control(
        read_rows(snakemake.input.summary),
        read_rows(snakemake.input.reviewed),
        unescaped(snakemake.params.methods),
        unescaped(snakemake.params.test_sets),
        looks_of(snakemake.params.of_all),
    )
    write_figure(figure, "figure_quality_control.rst", snakemake)
