"""What is drawn outside of its axes is found, so that no figure's test can pass over it."""

from collections.abc import Callable

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.reporting.figures.drawn import hidden

BOX = {"med": 3, "q1": 2, "q3": 4, "whislo": 1, "whishi": 9}


@pytest.mark.parametrize(
    ("draw", "found"),
    [
        (lambda axes: axes.plot([1, 2], [3, 9]), "Line2D leaves axes 0"),
        (lambda axes: axes.plot([1], [5], "o", markersize=9), "Line2D leaves axes 0"),
        (lambda axes: axes.axhline(9), "Line2D leaves axes 0"),
        (lambda axes: axes.scatter([1, 2], [1, 9]), "PathCollection leaves axes 0"),
        (lambda axes: axes.bar([1, 2], [3, 9]), "Rectangle leaves axes 0"),
        (lambda axes: axes.errorbar([1], [3], yerr=[[1], [6]]), "LineCollection leaves axes 0"),
        (lambda axes: axes.bxp([BOX], showfliers=False), "Line2D leaves axes 0"),
        (lambda axes: axes.text(1, 9, "beyond"), "text 'beyond' leaves the figure"),
    ],
)
def test_what_a_limit_cuts_off_is_found(draw: Callable[[Axes], object], found: str) -> None:
    figure = Figure()
    axes = figure.subplots()
    draw(axes)
    axes.set(xlim=(0, 3), ylim=(0, 5))
    assert any(line.startswith(found) for line in hidden(figure))
    axes.set_ylim(0, 10)
    assert list(hidden(figure)) == []
