"""Rule figure_quality_cost: Dice and ECE against what each method costs."""

from cardiouq.errors import reported_to_user
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.quality_cost import draw_quality_cost
from cardiouq.reporting.shown import unescaped
from cardiouq.reporting.style import method_styles

with reported_to_user(snakemake.log[0]):
    figure = draw_quality_cost(
        read_rows(snakemake.input.cost),
        unescaped(snakemake.params.methods),
        unescaped(snakemake.params.test_sets),
        method_styles(snakemake.params.styles),
    )
    write_figure(figure, "figure_quality_cost.rst", snakemake)
