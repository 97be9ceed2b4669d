"""Methods and test sets to draw, and what every figure has to keep."""

from pathlib import Path

import matplotlib.image
from matplotlib.figure import Figure

from cardiouq.reporting.style import DOUBLE_COLUMN, MethodStyle, save_figure
from tests.reporting import reviewed

Styles = dict[str, MethodStyle]
MULTI = "checkpoint_ensemble_multi"
METHODS = {"vanilla": "Vanilla", MULTI: "Ckpt. Ens. (Multi)"}
ALL_METHODS = reviewed.METHODS
TEST_SETS = {"val": "Phantom (ID)", "A": "Vendor A (OOD)", "B": "Vendor B (OOD)"}
DISTORTED = {
    f"val+noise-{place}": {"of": "val", "kind": "noise", "place": place, "degree": place / 20}
    for place in (1, 2)
}
TALLEST = 9.5
"""Of a figure on a page, inches."""


def check_saved(figure: Figure, folder: Path) -> None:
    """A figure can be saved, and fits a page."""
    png, pdf = folder / "figure.png", folder / "figure.pdf"
    save_figure(figure, png, pdf)
    assert pdf.read_bytes().startswith(b"%PDF")
    height, width = matplotlib.image.imread(png).shape[:2]
    assert width <= DOUBLE_COLUMN * 200
    assert height <= TALLEST * 200
