"""Rule figure_quality_cost: Dice and ECE against what each method costs."""

import pandas as pd

from cardiouq.errors import reported_to_user
from cardiouq.reporting.quality_cost import draw_quality_cost
from cardiouq.reporting.style import save_figure

with reported_to_user(snakemake.log[0]):
    figure = draw_quality_cost(
        pd.read_csv(snakemake.input.cost), snakemake.params.methods, snakemake.params.test_sets
    )
    save_figure(figure, snakemake.output.png, snakemake.output.pdf)
