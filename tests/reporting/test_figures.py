"""Every figure, drawn from a small made-up study."""

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cardiouq.errors import CardiouqError
from cardiouq.evaluation.reading import read_tables
from cardiouq.reporting.figures.checkpoints import choose_checkpoints, draw_checkpoints
from cardiouq.reporting.figures.reliability import draw_reliability, reliability_curve
from cardiouq.reporting.figures.training_curves import draw_training_curves
from cardiouq.reporting.figures.tsne import draw_tsne, embed
from cardiouq.reporting.figures.uncertainty_maps import draw_uncertainty_maps
from cardiouq.reporting.style import (
    DOUBLE_COLUMN,
    MethodStyle,
    save_figure,
    sequence_colours,
)

Styles = dict[str, MethodStyle]
MULTI = "checkpoint_ensemble_multi"
METHODS = {"vanilla": "Vanilla", MULTI: "Ckpt. Ens. (Multi)"}
TALLEST = 9.5
"""Of a figure on a page, inches."""
TEST_SETS = {"val": "Phantom (ID)", "A": "Vendor A (OOD)", "B": "Vendor B (OOD)"}


def check_saved(figure: Figure, folder: Path) -> np.ndarray:
    png, pdf = folder / "figure.png", folder / "figure.pdf"
    save_figure(figure, png, pdf)
    assert pdf.read_bytes().startswith(b"%PDF")
    pixels = matplotlib.image.imread(png)
    assert pixels.shape[1] <= DOUBLE_COLUMN * 200
    assert pixels.shape[0] <= TALLEST * 200
    return pixels


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


def test_uncertainty_maps_share_one_scale(study: Any, tmp_path: Path) -> None:
    figure = draw_uncertainty_maps(
        study.scores, study.cases, study.root / "prediction", METHODS, TEST_SETS, n_failures=1
    )
    maps = [
        image for axes in figure.axes for image in axes.images if image.get_cmap().name == "inferno"
    ]
    assert len(maps) == 2 * len(METHODS)
    assert len({image.get_clim() for image in maps}) == 1
    low, high = maps[0].get_clim()
    assert low == 0
    assert high == pytest.approx(max(image.get_array().max() for image in maps))
    check_saved(figure, tmp_path)


def test_uncertainty_maps_of_many_methods_fit_a_page(
    study: Any, styles: Styles, tmp_path: Path
) -> None:
    predictions = tmp_path / "prediction"
    predictions.mkdir()
    for method in styles:
        (predictions / method).symlink_to(study.root / "prediction/vanilla")
    methods = {method: method.replace("_", " ") for method in styles}
    figure = draw_uncertainty_maps(
        study.scores, study.cases, predictions, methods, TEST_SETS, n_failures=3
    )
    shown = [axes.get_ylabel().replace("\n", " ") for axes in figure.axes if axes.get_ylabel()]
    assert shown == ["Image, reference", *methods.values()]
    check_saved(figure, tmp_path)


def test_maps_name_a_missing_prediction(study: Any, tmp_path: Path) -> None:
    with pytest.raises(CardiouqError, match=r"_segmentation\.nii\.gz: missing"):
        draw_uncertainty_maps(study.scores, study.cases, tmp_path, METHODS, TEST_SETS)


def test_tsne(study: Any, tmp_path: Path) -> None:
    layer = np.load(study.root / "training/cyclical-2b/seed-0/last_layer.npy")
    samples = pd.read_csv(study.root / "prediction" / MULTI / "samples.csv")
    figure = draw_tsne(layer, samples["epoch"].tolist(), cycles=3, perplexity=30, seed=1)
    drawn = [[len(dots.get_offsets()) for dots in axes.collections] for axes in figure.axes]
    assert drawn == [[12, 12, 12, 1], [4, 4, 4]]  # three cycles and the star at the start
    check_saved(figure, tmp_path)


def test_tsne_is_deterministic_and_keeps_clusters_together() -> None:
    rng = np.random.default_rng(0)
    points = np.repeat([[0.0], [50.0]], 10, axis=0) + rng.normal(size=(20, 5))
    plane = embed(points, perplexity=30, seed=4)
    np.testing.assert_array_equal(plane, embed(points, perplexity=30, seed=4))
    distances = np.linalg.norm(plane[:, None] - plane, axis=-1) + np.diag(np.full(20, np.inf))
    nearest = distances.argmin(1)
    assert ((nearest < 10) == (np.arange(20) < 10)).all()


def test_tsne_refuses_what_it_cannot_embed() -> None:
    with pytest.raises(CardiouqError, match="t-SNE of 3 checkpoints"):
        embed(np.eye(3), perplexity=30, seed=0)
    with pytest.raises(CardiouqError, match=r"epoch 40, but .* 36 epochs"):
        draw_tsne(np.eye(36), [1, 40], cycles=3, perplexity=5, seed=0)


def test_reliability(study: Any, tmp_path: Path) -> None:
    pairs = [(method, test_set) for method in METHODS for test_set in TEST_SETS]
    ece = pd.DataFrame(pairs, columns=["method", "test_set"])
    ece["value"] = [0.5 * number for number in range(len(pairs))]
    figure = draw_reliability(
        study.calibration, ece, METHODS, TEST_SETS, n_bins=100, n_shown=20, minimum_voxels=50
    )
    assert [axes.get_title() for axes in figure.axes[:2]] == list(METHODS.values())
    second = figure.axes[1]
    assert [text.get_text() for text in second.texts] == ["1.50", "2.00", "2.50"]
    colours = [line.get_color() for line in second.lines[1:]]
    assert colours == sequence_colours(len(TEST_SETS))
    assert [text.get_color() for text in second.texts] == colours
    check_saved(figure, tmp_path)


def test_reliability_of_many_methods_fits_a_page(
    study: Any, styles: Styles, tmp_path: Path
) -> None:
    methods = {method: method.replace("_", " ") for method in styles}
    vanilla = study.calibration[study.calibration["method"] == "vanilla"]
    bins = pd.concat(vanilla.assign(method=method) for method in methods)
    pairs = [(method, test_set, 1.0) for method in methods for test_set in TEST_SETS]
    ece = pd.DataFrame(pairs, columns=["method", "test_set", "value"])
    figure = draw_reliability(
        bins, ece, methods, TEST_SETS, n_bins=100, n_shown=20, minimum_voxels=50
    )
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes if axes.get_title()]
    assert titles == list(methods.values())
    check_saved(figure, tmp_path)


def test_reliability_merges_neighbouring_bins() -> None:
    bins = pd.DataFrame(
        {
            "bin": [95, 96, 100, 100],
            "voxels": [10, 30, 10, 10],
            "confidence": [9.5, 28.7, 10.0, 9.9],
            "correct": [9, 20, 10, 5],
        }
    )
    curve = reliability_curve(bins, n_bins=100, n_shown=20)  # (90, 95] and (95, 100] percent
    assert curve["voxels"].tolist() == [10, 50]
    assert curve["confidence"].tolist() == pytest.approx([0.95, 48.6 / 50])
    assert curve["accuracy"].tolist() == pytest.approx([0.9, 0.7])


def test_training_curves(study: Any, tmp_path: Path) -> None:
    histories: dict[str, dict[str, pd.DataFrame]] = {}
    for path in sorted(study.root.glob("training/*/*/history.csv")):
        recipe = path.parts[-3].partition("-")[0]
        histories.setdefault(recipe, {})[path.parts[-2]] = pd.read_csv(path)
    figure = draw_training_curves(histories)
    losses = figure.axes[::3]
    labels = [axes.get_ylabel() for axes in losses]
    assert labels == ["cyclical\n(1 run)", "dropout\n(1 run)", "polynomial\n(3 runs)"]
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
