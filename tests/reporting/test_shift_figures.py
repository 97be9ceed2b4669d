"""Figures of distortions and of dataset shift, drawn from made-up numbers and scans."""

import itertools
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cardiouq.files.documents import read_yaml
from cardiouq.reporting.figures.dataset_shift import BARS, draw_dataset_shift
from cardiouq.reporting.figures.distorted_examples import draw_distorted_examples
from cardiouq.reporting.figures.distortion_boxes import BOXED, draw_distortion_boxes
from cardiouq.reporting.figures.distortion_maps import draw_distortion_maps
from cardiouq.reporting.figures.structural_uncertainty import draw_structural_uncertainty
from cardiouq.reporting.style import DOUBLE_COLUMN, MethodStyle, save_figure
from tests.paths import TINY

METHODS = {name: name.replace("_", " ") for name in read_yaml(TINY)["methods"]}
Styles = dict[str, MethodStyle]
KINDS = ("noise", "blur", "own_kind")
MULTI = "checkpoint_ensemble_multi"
TEST_SETS = {
    f"val+noise-{place}": {"of": "val", "kind": "noise", "place": place, "degree": place / 20}
    for place in (1, 2)
}


def check_saved(figure: Figure, folder: Path) -> None:
    save_figure(figure, folder / "figure.png", folder / "figure.pdf")
    height, width = matplotlib.image.imread(folder / "figure.png").shape[:2]
    assert width <= DOUBLE_COLUMN * 200
    assert height <= 9.5 * 200


@pytest.fixture
def distorted(study: Any, tmp_path: Path) -> pd.DataFrame:
    """The scans of one case under other names, and the predictions of two methods."""
    [row] = study.cases[study.cases["case"] == "val001_ED"].to_dict("records")
    for method in ("vanilla", MULTI):
        for test_set in ("val", *TEST_SETS):
            folder = tmp_path / "prediction" / method / test_set
            folder.mkdir(parents=True)
            for path in (study.root / "prediction" / method / "val").glob("val001_ED_*"):
                name = path.name.replace("_ED_", f"_ED+{test_set.partition('+')[2]}_")
                (folder / (path.name if test_set == "val" else name)).symlink_to(path)
    names = [f"val001_ED+{test_set.partition('+')[2]}" for test_set in TEST_SETS]
    return pd.DataFrame([row | {"case": name} for name in names])


@pytest.mark.parametrize("metric", BOXED)
def test_boxes_have_every_method_at_every_degree(
    metric: str, styles: Styles, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for method, kind, place in itertools.product(METHODS, KINDS, range(5)):
        low, q1, median, q3, high = np.sort(rng.gamma(1, 0.3, 5))
        rows.append(
            {
                **{"method": method, "kind": kind, "place": place, "degree": place / 10},
                **{"metric": metric, "structure": BOXED[metric].structure},
                **{"low": low, "q1": q1, "median": median, "q3": q3, "high": high},
            }
        )
    figure = draw_distortion_boxes(pd.DataFrame(rows), metric, METHODS, KINDS, styles)
    for axes, kind in zip(figure.axes, KINDS, strict=True):
        assert len(axes.patches) == 5 * len(METHODS)
        medians = [line.get_ydata()[0] for line in axes.lines if line.get_color() == "white"]
        assert sorted(medians) == sorted(row["median"] for row in rows if row["kind"] == kind)
    assert figure.axes[2].get_title(loc="left") == "Own kind"
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == [
        *("none", "0.1", "0.2", "0.3", "0.4"),
    ]
    check_saved(figure, tmp_path)


def test_examples_show_every_degree_beside_the_scan_itself(
    study: Any, distorted: pd.DataFrame, tmp_path: Path
) -> None:
    figure = draw_distorted_examples(study.cases, distorted, TEST_SETS)
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["none", "0.05", "0.1"]
    assert all(axes.images for axes in figure.axes)
    check_saved(figure, tmp_path)


def test_maps_leave_out_the_mutual_information_of_one_sample(
    study: Any, distorted: pd.DataFrame, tmp_path: Path
) -> None:
    entropies = list((tmp_path / "prediction" / MULTI).rglob("*_entropy.nii.gz"))
    for path in entropies:  # a stand-in: maps of the same shape
        path.with_name(path.name.replace("entropy", "mutual_information")).symlink_to(path)
    methods = {method: METHODS[method] for method in ("vanilla", MULTI)}
    places = {name: settings["degree"] for name, settings in TEST_SETS.items()}
    figure = draw_distortion_maps(
        study.cases, distorted, tmp_path / "prediction", methods, places, "val"
    )
    maps = [i for axes in figure.axes for i in axes.images if i.get_cmap().name == "inferno"]
    # three degrees: the entropy of two methods, the mutual information of one
    assert len(maps) == 3 * (2 + 1)
    check_saved(figure, tmp_path)


def test_shift_has_a_bar_for_every_number(styles: Styles, tmp_path: Path) -> None:
    rows = [
        {
            **{"method": method, "test_set": test_set, "level": "slice", "metric": bars.metric},
            **{"structure": structure, "value": 0.5, "low": low, "high": 0.6},
        }
        for method in METHODS
        for test_set, low in (("val", 0.4), ("A", np.nan))
        for bars in BARS
        for structure in (("RV", "MYO", "LV") if bars.of_structures else ("all",))
    ]
    test_sets = {"val": "Phantom (ID)", "A": "Vendor A (OOD)"}
    figure = draw_dataset_shift(pd.DataFrame(rows), METHODS, test_sets, styles)
    for axes in figure.axes:
        assert [patch.get_height() for patch in axes.patches] == [0.5] * 2 * len(METHODS)
    check_saved(figure, tmp_path)


def test_structural_uncertainty_shows_samples_of_the_worst_volume(
    study: Any, tmp_path: Path
) -> None:
    slices = [
        row | {"slice": z, "structure": "foreground", "assd_mm": 1.0 + z, "assd_within_mm": 0.5}
        for row in study.scores.drop(columns=["structure", "dice"]).to_dict("records")
        for z in range(5)
    ]
    slice_scores = pd.DataFrame(slices).drop_duplicates(["method", "test_set", "case", "slice"])
    methods = {method: METHODS[method] for method in ("vanilla", MULTI)}
    figure = draw_structural_uncertainty(
        study.scores, slice_scores, study.cases, study.root / "prediction", methods
    )
    assert len(figure.axes) == 5  # Vanilla has one sample
    assert [axes.get_title() for axes in figure.axes] == [
        *("Reference", "Mean", "Sample 1", "Sample 2", "Sample 3"),
    ]
    assert "within 0.5" in figure.axes[1].texts[0].get_text()
    check_saved(figure, tmp_path)


def test_without_a_method_of_several_samples_figures_are_drawn_all_the_same(
    study: Any, distorted: pd.DataFrame, tmp_path: Path
) -> None:
    methods = {"vanilla": "Vanilla"}
    places = {name: settings["degree"] for name, settings in TEST_SETS.items()}
    figure = draw_distortion_maps(
        study.cases, distorted, tmp_path / "prediction", methods, places, "val"
    )
    check_saved(figure, tmp_path)
    nothing = pd.DataFrame(columns=["method", "test_set", "case", "slice", "structure"])
    figure = draw_structural_uncertainty(
        study.scores, nothing, study.cases, study.root / "prediction", methods
    )
    assert "No method" in figure.texts[0].get_text()
    check_saved(figure, tmp_path)
