"""Rule figure_reliability_histogram: reliability of single images, gathered, of every method."""

from cardiouq.errors import reported_to_user
from cardiouq.evaluation.reading import read_tables
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.reliability_histogram import draw_reliability_histogram
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    test_set = snakemake.wildcards.test_set
    summary = read_rows(snakemake.input.summary)
    figure = draw_reliability_histogram(
        read_tables(snakemake.input.bins, [test_set]),
        summary[
            (summary["metric"] == "image_average_ce_percent") & (summary["test_set"] == test_set)
        ],
        unescaped(snakemake.params.methods),
    )
    write_figure(figure, "figure_reliability_histogram.rst", snakemake)
