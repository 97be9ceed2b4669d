"""Colours that tell methods and structures apart, the same in every figure."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cardiouq.reporting.style import (
    SPARE,
    STRUCTURE_COLOURS,
    MethodStyle,
    method_styles,
    sequence_colours,
    use_style,
)
from cardiouq.study.study import Study

# As the printed figures have them; the tiny study has every method.
KNOWN = {
    "vanilla": MethodStyle("#000000", "o"),
    "temperature_scaling": MethodStyle("#7A7A7A", "s"),
    "temperature_fitted": MethodStyle("#C6CACC", "8"),
    "vector_scaling": MethodStyle("#685977", "3"),
    "isotonic": MethodStyle("#272633", "4"),
    "test_time_augmentation": MethodStyle("#4C1908", "h"),
    "swa": MethodStyle("#E69F00", "^"),
    "swag": MethodStyle("#E59245", "1"),
    "multi_swag": MethodStyle("#E55050", "2"),
    "mc_dropout": MethodStyle("#009E73", "v"),
    "mcd_0_1": MethodStyle("#4CBD71", "<"),
    "mcd_0_5": MethodStyle("#085340", ">"),
    "deep_ensemble": MethodStyle("#0072B2", "D"),
    "cv_ensemble": MethodStyle("#73B9FF", "d"),
    "calibrated_ensemble": MethodStyle("#300F93", "*"),
    "checkpoint_ensemble_single": MethodStyle("#CC79A7", "P"),
    "checkpoint_ensemble_multi": MethodStyle("#D55E00", "X"),
    "hmc_cp": MethodStyle("#B20000", "p"),
    "bbb": MethodStyle("#66753A", "x"),
    "layer_ensemble": MethodStyle("#7130F2", "+"),
    "ssn": MethodStyle("#E6D46D", "H"),
    "evidential": MethodStyle("#694BD2", "|"),
}
OPEN = (None, None)
STUDY = KNOWN | {"own": OPEN, "another": OPEN}

# Colours as seen: linear RGB with severity 1 (Machado et al., IEEE TVCG 2009)
VISIONS = {
    "normal": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def as_seen(colour: str, vision: str) -> np.ndarray:
    """CIELAB of a colour, white of D65."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(VISIONS[vision] @ linear, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize(
    "name",
    [
        "demo",
        "laptop",
        "laptop-ng2022",
        "zhao2022",
        "zhao2024",
        "ng2022",
        "ng2022-acdc",
        "ng2022-mnms",
        "kushibar2022",
        "tests/workflow/tiny.yaml",
    ],
)
def test_a_method_has_its_own_style_in_every_study(
    name: str, local_config: dict[str, Any], repository: Path
) -> None:
    roots = dict.fromkeys(("acdc_root", "mnms_root", "ukbb_root"), "somewhere")
    file = str(repository / name) if "/" in name else name
    study = Study(file, local_config | roots, repository / "config")
    assert method_styles(study.styles) == {method: KNOWN[method] for method in study.methods}


def test_a_study_s_colour_is_the_method_s_and_leaves_its_marker(
    tiny: dict[str, Any], make_study: Callable[[dict[str, Any]], Study]
) -> None:
    tiny["methods"]["vanilla"]["colour"] = "#123456"
    tiny["methods"]["hmc_cp"]["colour"] = "#abcdef"
    tiny["methods"]["bbb"]["colour"] = "#000000"
    changed = {
        "vanilla": MethodStyle("#123456", "o"),
        "hmc_cp": MethodStyle("#abcdef", "p"),
        "bbb": MethodStyle("#000000", "x"),
    }
    assert method_styles(make_study(tiny).styles) == KNOWN | changed


def test_the_second_method_of_a_style_has_a_spare_one() -> None:
    twice = {"vanilla": KNOWN["vanilla"], "vanilla_again": KNOWN["vanilla"], "own": OPEN}
    assert list(method_styles(twice).values()) == [KNOWN["vanilla"], *SPARE[:2]]


def test_a_colour_without_a_style_has_a_spare_marker() -> None:
    assert method_styles({"own": ("#123456", None)}) == {"own": ("#123456", SPARE[0].marker)}


@pytest.mark.parametrize("vision", VISIONS)
def test_methods_differ_in_colour_also_to_colour_blind_readers(vision: str) -> None:
    seen = [as_seen(style.colour, vision) for style in KNOWN.values()]
    # a difference of about 2.3 is just noticeable side by side
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 10


def test_every_known_method_has_a_marker_of_its_own() -> None:
    assert len({style.marker for style in KNOWN.values()}) == len(KNOWN)


def test_sequence_colours_differ_and_none_is_pale() -> None:
    colours = sequence_colours(5)
    seen = [as_seen(colour, "normal") for colour in colours]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 10
    assert max(lightness for lightness, _, _ in seen) < 80
    assert len(sequence_colours(1)) == 1


@pytest.mark.parametrize("left_out", KNOWN)
def test_leaving_a_method_out_changes_no_other(left_out: str) -> None:
    fewer = {method: style for method, style in STUDY.items() if method != left_out}
    everything = method_styles(STUDY)
    assert method_styles(fewer) == {method: everything[method] for method in fewer}


def test_many_methods_differ_in_colour_or_marker() -> None:
    own = [f"own_{number}" for number in range(len(SPARE))]
    many = method_styles(KNOWN | dict.fromkeys(own, OPEN))
    assert len(set(many.values())) == len(many) > 70
    # as many more have a style too, though no longer one of their own
    again = [f"again_{number}" for number in range(len(SPARE))]
    assert len(method_styles(dict.fromkeys([*own, *again], OPEN))) == 2 * len(SPARE)


def test_a_sweep_of_one_kind_has_a_style_for_each_method() -> None:
    sweep = dict.fromkeys([f"mcd_{number}" for number in range(30)], KNOWN["mc_dropout"])
    assert len(set(method_styles(sweep).values())) == len(sweep)


def test_structures_have_colours_of_their_own() -> None:
    assert not set(STRUCTURE_COLOURS.values()) & {s.colour for s in [*KNOWN.values(), *SPARE]}


def test_style_does_not_depend_on_what_was_set_before() -> None:
    matplotlib.rcParams["axes.titlesize"] = 33
    matplotlib.rcParams["image.cmap"] = "jet"
    use_style()
    assert matplotlib.rcParams["axes.titlesize"] == 8
    assert matplotlib.rcParams["image.cmap"] == "viridis"
