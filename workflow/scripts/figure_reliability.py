"""Rule figure_reliability: accuracy against confidence of every method."""

from cardiouq.errors import reported_to_user
from cardiouq.evaluation.calibration import TOP_LABEL
from cardiouq.evaluation.reading import read_tables
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.reliability import draw_reliability
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    bins = read_tables(snakemake.input.calibration)
    figure = draw_reliability(
        bins[bins["label"] == TOP_LABEL],
        read_rows(snakemake.input.ece),
        unescaped(snakemake.params.methods),
        unescaped(snakemake.params.test_sets),
        n_bins=snakemake.params.ece["bins"],
        n_shown=snakemake.params.n_shown,
        minimum_voxels=snakemake.params.minimum_voxels,
    )
    write_figure(figure, "figure_reliability.rst", snakemake)
