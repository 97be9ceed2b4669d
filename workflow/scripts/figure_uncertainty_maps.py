"""Rule figure_uncertainty_maps: predictions and entropy maps of every method (Fig. 3)."""

from pathlib import Path

from cardiouq.data.case_table import read_case_table
from cardiouq.errors import reported_to_user
from cardiouq.evaluation.reading import read_tables
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.uncertainty_maps import draw_uncertainty_maps
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    figure = draw_uncertainty_maps(
        read_tables(snakemake.input.scores, snakemake.params.test_sets),
        read_case_table(snakemake.input.cases),
        Path(snakemake.input.predictions[0]).parents[1],  # prediction/<method>/<test set>
        unescaped(snakemake.params.methods),
        unescaped(snakemake.params.test_sets),
        snakemake.params.n_failures,
    )
    write_figure(figure, "figure_uncertainty_maps.rst", snakemake)
