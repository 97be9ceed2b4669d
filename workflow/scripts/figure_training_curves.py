"""Rule figure_training_curves: loss, learning rate and validation Dice of every run."""

import pandas as pd

from cardiouq.errors import reported_to_user
from cardiouq.reporting.style import save_figure
from cardiouq.reporting.training_curves import draw_training_curves

with reported_to_user(snakemake.log[0]):
    histories = {}
    for (run, recipe), path in zip(
        snakemake.params.recipes.items(), snakemake.input.histories, strict=True
    ):
        histories.setdefault(recipe, {})[run] = pd.read_csv(path)
    figure = draw_training_curves(histories)
    save_figure(figure, snakemake.output.png, snakemake.output.pdf)
