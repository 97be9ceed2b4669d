"""Rule figure_training_curves: loss, learning rate and validation Dice of every run."""

from pathlib import Path

from cardiouq.errors import reported_to_user
from cardiouq.files.run_files import HISTORY_FILE
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.training_curves import draw_training_curves
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    users = unescaped(snakemake.params.users)
    histories = {}
    for (run, recipe), trained in zip(
        snakemake.params.recipes.items(), snakemake.input.runs, strict=True
    ):
        history = read_rows(Path(trained).with_name(HISTORY_FILE))
        histories.setdefault(users[recipe] or recipe.replace("_", " "), {})[run] = history
    figure = draw_training_curves(histories)
    write_figure(figure, "figure_training_curves.rst", snakemake)
