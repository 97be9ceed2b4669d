"""Rule figure_distorted_examples: a slice at every degree of every kind of distortion."""

from cardiouq.data.case_table import read_case_table
from cardiouq.errors import reported_to_user
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.distorted_examples import draw_distorted_examples

with reported_to_user(snakemake.log[0]):
    figure = draw_distorted_examples(
        read_case_table(snakemake.input.cases),
        read_case_table(snakemake.input.distorted),
        snakemake.params.test_sets,
    )
    write_figure(figure, "figure_distorted_examples.rst", snakemake)
