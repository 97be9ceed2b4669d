"""Rule figure_quality_control: the poor slices that are left against those that are flagged."""

from cardiouq.errors import reported_to_user
from cardiouq.files.tables import read_rows
from cardiouq.reporting.figures.quality_control import draw_quality_control
from cardiouq.reporting.shown import unescaped
from cardiouq.reporting.style import method_styles, save_figure

with reported_to_user(snakemake.log[0]):
    figure = draw_quality_control(
        read_rows(snakemake.input.curves),
        unescaped(snakemake.params.methods),
        unescaped(snakemake.params.test_sets),
        method_styles(snakemake.params.styles),
        snakemake.params.poor["remaining"],
    )
    save_figure(figure, snakemake.output.png, snakemake.output.pdf)
