"""Rule figure_dataset_shift: accuracy, uncertainty and their correlation on every test set."""

from cardiouq.errors import reported_to_user
from cardiouq.files.tables import read_rows
from cardiouq.reporting.figures.dataset_shift import draw_dataset_shift
from cardiouq.reporting.shown import unescaped
from cardiouq.reporting.style import method_styles, save_figure

with reported_to_user(snakemake.log[0]):
    figure = draw_dataset_shift(
        read_rows(snakemake.input.summary),
        unescaped(snakemake.params.methods),
        unescaped(snakemake.params.test_sets),
        method_styles(snakemake.params.styles),
    )
    save_figure(figure, snakemake.output.png, snakemake.output.pdf)
