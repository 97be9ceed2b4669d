"""Maps of every method's entropy share one scale."""

from pathlib import Path
from typing import Any

import pytest

from cardiouq.errors import CardiouqError
from cardiouq.reporting.figures.uncertainty_maps import draw_uncertainty_maps
from tests.reporting.figures.drawn import METHODS, TEST_SETS, Styles, check_saved


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
        study.scores,
        study.cases.assign(subject="patient007"),
        predictions,
        methods,
        TEST_SETS,
        n_failures=3,
    )
    shown = [axes.get_ylabel().replace("\n", " ") for axes in figure.axes if axes.get_ylabel()]
    assert shown == ["Image, reference", *methods.values()]
    check_saved(figure, tmp_path)


def test_maps_name_a_missing_prediction(study: Any, tmp_path: Path) -> None:
    with pytest.raises(CardiouqError, match=r"_segmentation\.nii\.gz: missing"):
        draw_uncertainty_maps(study.scores, study.cases, tmp_path, METHODS, TEST_SETS)
