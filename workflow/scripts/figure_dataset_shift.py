"""Rule figure_dataset_shift: accuracy, uncertainty and their correlation on every test set."""

from cardiouq.errors import reported_to_user
from cardiouq.reporting.dataset_shift import draw_dataset_shift
from cardiouq.reporting.style import save_figure
from cardiouq.shown import as_written
from cardiouq.tables import read_rows

with reported_to_user(snakemake.log[0]):
    figure = draw_dataset_shift(
        read_rows(snakemake.input.summary),
        as_written(snakemake.params.methods),
        as_written(snakemake.params.test_sets),
    )
    save_figure(figure, snakemake.output.png, snakemake.output.pdf)
