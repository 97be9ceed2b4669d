"""Training curves of every recipe, on one axis of epochs."""

from pathlib import Path
from typing import Any

import pandas as pd

from cardiouq.reporting.figures.training_curves import draw_training_curves
from cardiouq.reporting.style import save_figure
from tests.reporting.figures.drawn import check_saved


def test_training_curves(study: Any, tmp_path: Path) -> None:
    histories: dict[str, dict[str, pd.DataFrame]] = {}
    for path in sorted(study.root.glob("training/*/*/history.csv")):
        recipe = path.parts[-3].partition("-")[0]
        histories.setdefault(recipe, {})[path.parts[-2]] = pd.read_csv(path)
    figure = draw_training_curves(histories)
    losses = figure.axes[::3]
    labels = [axes.get_ylabel() for axes in losses]
    assert labels == ["cyclical (1 run)", "dropout (1 run)", "polynomial (3 runs)"]
    assert [len(axes.lines) for axes in losses] == [2, 2, 6]
    check_saved(figure, tmp_path)


def test_training_curves_of_many_recipes_fit_a_page(study: Any, tmp_path: Path) -> None:
    history = pd.read_csv(study.root / "training/cyclical-2b/seed-0/history.csv")
    branch = history[history["epoch"] >= 27]
    histories = {f"recipe_{k}": {"seed-0": history if k else branch} for k in range(11)}
    figure = draw_training_curves(histories)
    limits = {axes.get_xlim() for axes in figure.axes}
    assert len(limits) == 1  # where a branch starts is read off the others' axis
    check_saved(figure, tmp_path)


def test_the_same_figure_gives_the_same_bytes(study: Any, tmp_path: Path) -> None:
    history = pd.read_csv(study.root / "training/cyclical-2b/seed-0/history.csv")
    for name in ("one", "two"):
        figure = draw_training_curves({"cyclical": {"seed-0": history}})
        save_figure(figure, tmp_path / f"{name}.png", tmp_path / f"{name}.pdf")
    for suffix in (".png", ".pdf"):
        first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
        assert first == second
