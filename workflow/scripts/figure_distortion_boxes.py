"""Rule figure_distortion_boxes: a metric over slices by kind and degree of distortion."""

from cardiouq.errors import reported_to_user
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.distortion_boxes import draw_distortion_boxes
from cardiouq.reporting.shown import unescaped
from cardiouq.reporting.style import method_styles

with reported_to_user(snakemake.log[0]):
    figure = draw_distortion_boxes(
        read_rows(snakemake.input.distortions),
        snakemake.wildcards.metric,
        unescaped(snakemake.params.methods),
        snakemake.params.kinds,
        method_styles(snakemake.params.styles),
    )
    write_figure(figure, "figure_distortion_boxes.rst", snakemake)
