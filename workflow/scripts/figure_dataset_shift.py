"""Rule figure_dataset_shift: accuracy, uncertainty and their correlation on every test set."""

from cardiouq.errors import reported_to_user
from cardiouq.evaluation.reading import read_tables
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.dataset_shift import draw_dataset_shift
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    figure = draw_dataset_shift(
        read_rows(snakemake.input.summary),
        read_tables(snakemake.input.slice_scores, snakemake.params.test_sets),
        unescaped(snakemake.params.methods),
        unescaped(snakemake.params.test_sets),
    )
    write_figure(figure, "figure_dataset_shift.rst", snakemake)
