"""t-SNE of a run's weights, which is the same each time."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.errors import CardiouqError
from cardiouq.reporting.figures.tsne import draw_tsne, embed
from tests.reporting.figures.drawn import MULTI, check_saved


def test_tsne(study: Any, tmp_path: Path) -> None:
    layer = np.load(study.root / "training/cyclical-2b/seed-0/last_layer.npy")
    samples = pd.read_csv(study.root / "prediction" / MULTI / "samples.csv")
    figure = draw_tsne(layer, samples["epoch"].tolist(), cycles=3, perplexity=30, seed=1)
    drawn = [[len(dots.get_offsets()) for dots in axes.collections] for axes in figure.axes]
    assert drawn == [[12, 12, 12, 1], [4, 4, 4]]  # three cycles and the star at the start
    check_saved(figure, tmp_path)


def test_a_network_without_such_a_layer_has_words_in_its_place() -> None:
    figure = draw_tsne(np.empty((36, 0)), [1, 2, 3, 4, 5], cycles=3, perplexity=5, seed=0)
    assert [text.get_text() for text in figure.texts] == [
        "This method's network has no last decoder layer as a U-Net has it."
    ]


def test_tsne_is_deterministic_and_keeps_clusters_together() -> None:
    rng = np.random.default_rng(0)
    points = np.repeat([[0.0], [50.0]], 10, axis=0) + rng.normal(size=(20, 5))
    plane = embed(points, perplexity=30, seed=4)
    np.testing.assert_array_equal(plane, embed(points, perplexity=30, seed=4))
    distances = np.linalg.norm(plane[:, None] - plane, axis=-1) + np.diag(np.full(20, np.inf))
    nearest = distances.argmin(1)
    assert ((nearest < 10) == (np.arange(20) < 10)).all()


@pytest.mark.parametrize("epochs", [[1], [1, 3], [1, 3, 5]])
def test_of_too_few_samples_the_figure_says_so(epochs: list[int], tmp_path: Path) -> None:
    figure = draw_tsne(np.eye(6), epochs, cycles=3, perplexity=30, seed=0)
    assert figure.texts[0].get_text().startswith(f"This method has {len(epochs)} sample(s)")
    check_saved(figure, tmp_path)


def test_four_samples_are_enough() -> None:
    figure = draw_tsne(np.eye(6), [1, 3, 4, 5], cycles=2, perplexity=30, seed=0)
    assert len(figure.axes) == 2


def test_a_sample_of_an_epoch_that_was_not_kept_is_an_error() -> None:
    with pytest.raises(CardiouqError, match=r"epoch 40, but .* 36 epochs"):
        draw_tsne(np.eye(36), [1, 40], cycles=3, perplexity=5, seed=0)
