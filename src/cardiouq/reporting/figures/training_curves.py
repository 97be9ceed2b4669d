"""Figure of training curves: loss, learning rate and validation Dice of every run."""

import textwrap

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
    add_legend,
    use_log_scale,
    use_style,
)

# heights of a recipe and of all of them, in inches
TALLEST_ROW = 1.5
TALLEST = 8.2
NAME = 24
"""Letters of a line of a recipe's name."""


def draw_training_curves(histories: dict[str, dict[str, pd.DataFrame]]) -> Figure:
    """Draw a row per recipe and a line per run.

    Args:
        histories: what a recipe is called -> run -> rows of `history.csv`.
    """
    use_style()
    n_recipes = len(histories)
    row = min(TALLEST_ROW, TALLEST / n_recipes)
    figure = Figure(figsize=(DOUBLE_COLUMN, row * n_recipes + 0.7), layout="constrained")
    # losses of different variants have no common scale
    axes = figure.subplots(n_recipes, 3, sharex=True, squeeze=False)
    for axis in axes[1:, 1]:
        axis.sharey(axes[0, 1])
    for (loss, rate, dice), (recipe, runs) in zip(axes, histories.items(), strict=True):
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
        label = textwrap.fill(f"{recipe} ({count})", NAME)
        loss.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=6.5)
        use_log_scale(rate, "y")
        dice.set(ylim=(-0.04, 1.04), yticks=(0, 0.5, 1))
    for axis, title in zip(axes[0], ("Loss", "Learning rate", "Validation Dice"), strict=True):
        axis.set_title(title)
    for axis in axes[-1]:
        axis.set_xlabel("Epoch")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    figure.align_ylabels(axes[:, 0])
    add_legend(
        figure,
        [
            Line2D([], [], color=TRAINING_COLOUR, label="training"),
            Line2D([], [], color=VALIDATION_COLOUR, label="validation"),
        ],
    )
    return figure


def _plot(axes: Axes, history: pd.DataFrame, name: str, colour: str, alpha: float) -> None:
    """One line; epochs that were not validated are bridged, and a single epoch is a dot."""
    known = history[np.isfinite(history[name])]
    marker = "o" if len(known) == 1 else "none"
    axes.plot(
        known["epoch"] + 1, known[name], color=colour, alpha=alpha, linewidth=1, marker=marker
    )
