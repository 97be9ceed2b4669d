"""Reliability of single images, gathered."""

from pathlib import Path

import numpy as np
import pandas as pd

from cardiouq.evaluation.calibration import IMAGE_BINS, structure_bins
from cardiouq.reporting.figures.reliability_histogram import draw_reliability_histogram, gather
from tests.reporting.figures.drawn import ALL_METHODS, check_saved


def bins_of(method: str, cases: int = 3) -> pd.DataFrame:
    """Random probabilities, whose frequency they are."""
    rng = np.random.default_rng(0)
    parts = []
    for case in range(cases):
        probabilities = rng.dirichlet([0.4] * 4, size=500).T
        reference = (probabilities.cumsum(0) < rng.random(500)).sum(0)
        bins = structure_bins(probabilities, np.minimum(reference, 3))
        parts.append(bins.assign(method=method, test_set="val", case=f"c{case}"))
    return pd.concat(parts, ignore_index=True)


def test_images_are_counted_where_probability_and_frequency_are() -> None:
    columns = ["bin", "voxels", "confidence", "correct"]
    rows = [(1, 100, 1.0, 0), (1, 100, 1.0, 0), (20, 10, 9.8, 10), (10, 4, 1.9, 2), (10, 4, 1.9, 3)]
    counts = gather(pd.DataFrame(rows, columns=columns))
    expected = np.zeros((IMAGE_BINS, IMAGE_BINS))
    expected[0, 0] = 2
    expected[19, 19] = 1
    expected[9, 9] = 1  # frequency 0.5 belongs to (0.45, 0.5]
    expected[14, 9] = 1
    np.testing.assert_array_equal(counts, expected)


def test_every_method_has_a_panel_with_its_error(tmp_path: Path) -> None:
    bins = pd.concat(bins_of(method) for method in ALL_METHODS)
    errors = pd.DataFrame({"method": list(ALL_METHODS), "value": np.arange(len(ALL_METHODS)) / 2})
    figure = draw_reliability_histogram(bins, errors, ALL_METHODS)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert [title.splitlines()[-1] for title in titles] == [f"{v:.1f}" for v in errors["value"]]
    assert [" ".join(t.splitlines()[:-1]) for t in titles] == list(ALL_METHODS.values())
    check_saved(figure, tmp_path)
