"""Rule figure_distortion_maps: uncertainty maps of every method as a distortion grows."""

from pathlib import Path

from cardiouq.data.case_table import read_case_table
from cardiouq.errors import reported_to_user
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.distortion_maps import draw_distortion_maps
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    figure = draw_distortion_maps(
        read_case_table(snakemake.input.cases),
        read_case_table(snakemake.input.distorted),
        Path(snakemake.input.predictions[0]).parents[1],  # prediction/<method>/<test set>
        unescaped(snakemake.params.methods),
        snakemake.params.kind,
        snakemake.params.degrees,
        snakemake.params.of,
    )
    write_figure(figure, "figure_distortion_maps.rst", snakemake)
