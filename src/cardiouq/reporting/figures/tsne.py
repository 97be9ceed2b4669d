"""Figure of the cyclical run's way: t-SNE of the last decoder layer (Zhao et al. 2022, Fig. 2)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from cardiouq.errors import CardiouqError
from cardiouq.reporting.figures.checkpoints import cycle_of_epoch
from cardiouq.reporting.style import (
    DOUBLE_COLUMN,
    figure_of_words,
    sequence_colours,
    use_style,
)

MINIMUM_POINTS = 4
"""Points from which on t-SNE has neighbours to tell from others."""
CYCLE_MARKERS = "osD^vP"


def embed(weights: NDArray[np.floating], perplexity: float, seed: int) -> NDArray[np.float32]:
    """Embed points in the plane by t-SNE, started from their principal components.

    Args:
        weights: one point a row, (points, weights), `MINIMUM_POINTS` at least.
        perplexity: capped at a third of the other points, beyond which all are neighbours.
        seed: of t-SNE's random state, in [0, 2**32).

    Returns:
        (points, 2); distances have no unit.
    """
    capped = min(perplexity, (len(weights) - 1) / 3)
    plane = TSNE(init="pca", perplexity=capped, random_state=seed).fit_transform(
        np.asarray(weights, np.float64)
    )
    return np.asarray(plane, np.float32)


def draw_tsne(
    last_layer: NDArray[np.floating],
    posterior_epochs: Sequence[int],
    cycles: int,
    perplexity: float,
    seed: int,
) -> Figure:
    """Draw (a) the weights after every epoch, in order, and (b) the posterior's weights alone.

    Of fewer than `MINIMUM_POINTS` samples there is nothing to draw, which the figure then says.

    Args:
        last_layer: weights of the last decoder layer, (epochs, weights).
        posterior_epochs: epochs, from 0, whose checkpoints are the posterior's samples.
        cycles: number of cycles of the schedule.
        perplexity, seed: see `embed`.

    Raises:
        CardiouqError: a sample's epoch is not in `last_layer`.
    """
    epochs = len(last_layer)
    posterior = np.array(sorted(posterior_epochs))
    if posterior.size and posterior.max() >= epochs:
        raise CardiouqError(
            f"a sample is of epoch {posterior.max()}, but the run's last layer was kept for "
            f"{epochs} epochs; train the cyclical run again"
        )
    if posterior.size < MINIMUM_POINTS:
        return figure_of_words(
            f"This method has {posterior.size} sample(s); t-SNE needs at least {MINIMUM_POINTS}."
        )
    if not last_layer.size:
        return figure_of_words("This method's network has no last decoder layer as a U-Net has it.")
    use_style()
    figure = Figure(figsize=(DOUBLE_COLUMN, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    everything = embed(last_layer, perplexity, seed)
    left.plot(*everything.T, linestyle=":", linewidth=0.7, color="#999999", zorder=1)
    _scatter(left, everything, np.arange(epochs), epochs, cycles, size=14)
    left.scatter(
        *everything[:1].T,
        s=45,
        c="white",
        marker="*",
        edgecolors="black",
        zorder=3,
        label="First epoch",
    )
    left.set_title(f"(a) All {epochs} epochs", loc="left")
    chosen = embed(last_layer[posterior], perplexity, seed)
    _scatter(right, chosen, posterior, epochs, cycles, size=20)
    right.set_title(f"(b) The {len(posterior)} posterior samples", loc="left")
    for axis in (left, right):
        axis.set(xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2")
        axis.spines[["top", "right"]].set_visible(True)
        axis.margins(0.08)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=cycles + 2)
    return figure


def _scatter(
    axes: Axes,
    points: NDArray[np.float32],
    epochs: NDArray[np.integer],
    n_epochs: int,
    cycles: int,
    size: float,
) -> None:
    of_point = np.array([cycle_of_epoch(int(epoch), n_epochs, cycles) for epoch in epochs])
    for cycle, colour in enumerate(sequence_colours(cycles)):
        inside = points[of_point == cycle]
        marker = CYCLE_MARKERS[cycle % len(CYCLE_MARKERS)]
        axes.scatter(
            inside[:, 0],
            inside[:, 1],
            s=size,
            color=[colour],
            marker=marker,
            linewidths=0,
            label=f"Cycle {cycle + 1}",
            zorder=2,
        )
