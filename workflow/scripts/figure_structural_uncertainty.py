"""Rule figure_structural_uncertainty: segmentations of single samples of every method."""

from pathlib import Path

from cardiouq.data.case_table import read_case_table
from cardiouq.errors import reported_to_user
from cardiouq.evaluation.reading import read_tables
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.structural_uncertainty import draw_structural_uncertainty
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    figure = draw_structural_uncertainty(
        read_tables(snakemake.input.scores, snakemake.params.test_sets),
        read_tables(snakemake.input.slice_scores, snakemake.params.test_sets),
        read_case_table(snakemake.input.cases),
        Path(snakemake.input.predictions[0]).parents[1],  # prediction/<method>/<test set>
        unescaped(snakemake.params.methods),
    )
    write_figure(figure, "figure_structural_uncertainty.rst", snakemake)
