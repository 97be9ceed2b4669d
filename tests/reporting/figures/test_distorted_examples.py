"""Every degree of a distortion beside the scan itself."""

from pathlib import Path
from typing import Any

import pandas as pd

from cardiouq.reporting.figures.distorted_examples import draw_distorted_examples
from tests.reporting.figures.drawn import DISTORTED, check_saved


def test_examples_show_every_degree_beside_the_scan_itself(
    study: Any, distorted: pd.DataFrame, tmp_path: Path
) -> None:
    figure = draw_distorted_examples(study.cases, distorted, DISTORTED)
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["none", "0.05", "0.1"]
    assert all(axes.images for axes in figure.axes)
    check_saved(figure, tmp_path)
