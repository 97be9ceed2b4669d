"""Training curves: loss, learning rate and validation Dice of every run."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cardiouq.reporting.style import (
    DOUBLE_COLUMN,
    TRAINING_COLOUR,
    VALIDATION_COLOUR,
    use_style,
)


def draw_training_curves(histories: dict[str, dict[str, pd.DataFrame]]) -> Figure:
    """Draw a column per recipe and a line per run.

    Args:
        histories: recipe -> run -> rows of `history.csv`.
    """
    use_style()
    n_recipes = len(histories)
    width = DOUBLE_COLUMN if n_recipes > 1 else DOUBLE_COLUMN / 2
    figure = Figure(figsize=(width, 4.6), layout="constrained")
    axes = figure.subplots(3, n_recipes, sharex="col", sharey="row", squeeze=False)
    for column, (recipe, runs) in zip(axes.T, histories.items(), strict=True):
        loss, rate, dice = column
        for history in runs.values():
            alpha = 0.9 if len(runs) == 1 else 0.55
            for axis, name, colour in (
                (loss, "train_loss", TRAINING_COLOUR),
                (loss, "validation_loss", VALIDATION_COLOUR),
                (rate, "learning_rate", "black"),
                (dice, "validation_dice", VALIDATION_COLOUR),
            ):
                _plot(axis, history, name, colour, alpha)
        count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
        loss.set_title(f"{recipe} ({count})")
        rate.set_yscale("log")
        dice.set(xlabel="Epoch", ylim=(0, 1))
        dice.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axis, label in zip(axes[:, 0], ("Loss", "Learning rate", "Validation Dice"), strict=True):
        axis.set_ylabel(label)
    figure.align_ylabels(axes[:, 0])
    axes[0, -1].legend(
        handles=[
            Line2D([], [], color=TRAINING_COLOUR, label="training"),
            Line2D([], [], color=VALIDATION_COLOUR, label="validation"),
        ]
    )
    return figure


def _plot(axes: Axes, history: pd.DataFrame, name: str, colour: str, alpha: float) -> None:
    """One line; epochs that were not validated are bridged, and a single epoch is a dot."""
    known = history[np.isfinite(history[name])]
    marker = "o" if len(known) == 1 else "none"
    axes.plot(
        known["epoch"] + 1, known[name], color=colour, alpha=alpha, linewidth=1, marker=marker
    )
