"""Rule figure_distorted_examples: a slice at every degree of every kind of distortion."""

from cardiouq.data.case_table import read_case_table
from cardiouq.errors import reported_to_user
from cardiouq.reporting.figures.distorted_examples import draw_distorted_examples
from cardiouq.reporting.style import save_figure

with reported_to_user(snakemake.log[0]):
    figure = draw_distorted_examples(
        read_case_table(snakemake.input.cases),
        read_case_table(snakemake.input.distorted),
        snakemake.params.test_sets,
    )
    save_figure(figure, snakemake.output.png, snakemake.output.pdf)
