"""Colours that tell methods and structures apart, the same in every figure."""

from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cardiouq.reporting.style import (
    KNOWN,
    SPARE,
    STRUCTURE_COLOURS,
    method_styles,
    sequence_colours,
    use_style,
)

STUDY = [*KNOWN, "own", "another"]

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
    fewer = [method for method in STUDY if method != left_out]
    everything = method_styles(STUDY)
    assert method_styles(fewer) == {method: everything[method] for method in fewer}


def test_many_methods_differ_in_colour_or_marker() -> None:
    many = method_styles([*KNOWN, *(f"own_{number}" for number in range(len(SPARE)))])
    assert len(set(many.values())) == len(many)
    with pytest.raises(ValueError, match=f"{len(SPARE) + 1} methods without a style"):
        method_styles([f"own_{number}" for number in range(len(SPARE) + 1)])


def test_structures_have_colours_of_their_own() -> None:
    assert not set(STRUCTURE_COLOURS.values()) & {s.colour for s in [*KNOWN.values(), *SPARE]}


def test_style_does_not_depend_on_what_was_set_before() -> None:
    matplotlib.rcParams["axes.titlesize"] = 33
    matplotlib.rcParams["image.cmap"] = "jet"
    use_style()
    assert matplotlib.rcParams["axes.titlesize"] == 8
    assert matplotlib.rcParams["image.cmap"] == "viridis"
