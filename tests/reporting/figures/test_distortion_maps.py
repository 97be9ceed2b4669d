"""Maps of entropy and mutual information as a distortion grows."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cardiouq.errors import CardiouqError
from cardiouq.files.writing import write_folder_hashes
from cardiouq.reporting.figures.distortion_maps import draw_distortion_maps
from tests.reporting.figures.drawn import DISTORTED, METHODS, MULTI, check_saved


def test_maps_leave_out_the_mutual_information_of_one_sample(
    study: Any, distorted: pd.DataFrame, tmp_path: Path
) -> None:
    entropies = list((tmp_path / "prediction" / MULTI).rglob("*_entropy.nii.gz"))
    for path in entropies:  # a stand-in: maps of the same shape
        path.with_name(path.name.replace("entropy", "mutual_information")).symlink_to(path)
    places = {name: settings["degree"] for name, settings in DISTORTED.items()}
    figure = draw_distortion_maps(
        study.cases, distorted, tmp_path / "prediction", METHODS, "noise", places, "val"
    )
    maps = [i for axes in figure.axes for i in axes.images if i.get_cmap().name == "inferno"]
    # three degrees: the entropy of two methods, the mutual information of one
    assert len(maps) == 3 * (2 + 1)
    check_saved(figure, tmp_path)


def test_without_a_method_of_several_samples_maps_are_drawn_all_the_same(
    study: Any, distorted: pd.DataFrame, tmp_path: Path
) -> None:
    methods = {"vanilla": "Vanilla"}
    places = {name: settings["degree"] for name, settings in DISTORTED.items()}
    figure = draw_distortion_maps(
        study.cases, distorted, tmp_path / "prediction", methods, "noise", places, "val"
    )
    check_saved(figure, tmp_path)


def test_a_map_that_is_lost_is_an_error(
    study: Any, distorted: pd.DataFrame, tmp_path: Path
) -> None:
    lost = tmp_path / "prediction" / "vanilla" / "val" / "val001_ED_entropy.nii.gz"
    write_folder_hashes(lost.parent)
    lost.unlink()
    with pytest.raises(CardiouqError, match=f"{lost}: missing"):
        draw_distortion_maps(
            study.cases, distorted, tmp_path / "prediction", METHODS, "noise", {}, "val"
        )
