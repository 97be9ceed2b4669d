"""Segmentations of the checkpoints of one run, chosen by rule."""

from pathlib import Path
from typing import Any

import pandas as pd

from cardiouq.evaluation.reading import read_tables
from cardiouq.reporting.figures.checkpoints import choose_checkpoints, draw_checkpoints
from tests.reporting.figures.drawn import MULTI, check_saved


def test_checkpoints(study: Any, tmp_path: Path) -> None:
    folder = study.root / "prediction" / MULTI
    samples = pd.read_csv(folder / "samples.csv")
    scores = read_tables([study.root / "evaluation" / MULTI / "scores.csv"])
    chosen = choose_checkpoints(samples, epochs=36, cycles=3, per_cycle=2)
    figure = draw_checkpoints(chosen, scores, study.cases, folder)
    titles = [axes.get_title() for axes in figure.axes[:7]]
    assert titles[0] == "Reference"
    assert titles[1:] == [
        f"Cycle {cycle}\nepoch {epoch}"
        for cycle, epoch in zip((1, 1, 2, 2, 3, 3), (11, 12, 23, 24, 35, 36), strict=True)
    ]
    check_saved(figure, tmp_path)


def test_latest_samples_of_each_cycle_are_shown_in_order() -> None:
    samples = pd.DataFrame({"sample": range(6), "epoch": [29, 28, 27, 9, 8, 19]})
    chosen = choose_checkpoints(samples, epochs=30, cycles=3, per_cycle=2)
    assert chosen["epoch"].tolist() == [8, 9, 19, 28, 29]
    assert chosen["cycle"].tolist() == [0, 0, 1, 2, 2]
    assert chosen["position"].tolist() == [4, 3, 5, 1, 0]
