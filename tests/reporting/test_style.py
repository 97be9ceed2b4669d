"""Colours that tell methods and structures apart, the same in every figure."""

import matplotlib
import pytest
from matplotlib.colors import to_rgb

from cardiouq.reporting.style import KNOWN, SPARE, STRUCTURE_COLOURS, method_styles, use_style

STUDY = [*KNOWN, "bayes_by_backprop", "layer_ensemble", "sghmc"]


def test_methods_differ_in_colour() -> None:
    styles = method_styles(STUDY)
    colours = [to_rgb(style.colour) for style in styles.values()]
    nearest = min(
        sum(abs(a - b) for a, b in zip(one, other, strict=True))
        for i, one in enumerate(colours)
        for other in colours[:i]
    )
    assert list(styles) == STUDY
    assert nearest > 0.3


@pytest.mark.parametrize("left_out", KNOWN)
def test_leaving_a_method_out_changes_no_other(left_out: str) -> None:
    fewer = [method for method in STUDY if method != left_out]
    everything = method_styles(STUDY)
    assert method_styles(fewer) == {method: everything[method] for method in fewer}


def test_many_methods_differ_in_colour_or_dashes() -> None:
    many = method_styles([*KNOWN, *(f"own_{number}" for number in range(len(SPARE)))])
    assert len({(style.colour, style.dashes) for style in many.values()}) == len(many)
    with pytest.raises(ValueError, match="17 methods without a style"):
        method_styles([f"own_{number}" for number in range(len(SPARE) + 1)])


def test_structures_have_colours_of_their_own() -> None:
    assert not set(STRUCTURE_COLOURS.values()) & {s.colour for s in [*KNOWN.values(), *SPARE]}


def test_style_does_not_depend_on_what_was_set_before() -> None:
    matplotlib.rcParams["axes.titlesize"] = 33
    matplotlib.rcParams["image.cmap"] = "jet"
    use_style()
    assert matplotlib.rcParams["axes.titlesize"] == 8
    assert matplotlib.rcParams["image.cmap"] == "viridis"
