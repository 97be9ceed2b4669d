"""Writer of a figure and of its caption beside it."""

from typing import Any

from matplotlib.figure import Figure

from cardiouq.files.writing import atomic_write
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.style import save_figure


def write_figure(figure: Figure, template: str, snakemake: Any) -> None:
    """Write a figure as PNG and PDF, and its caption as text.

    Args:
        template: of the caption, a file in `workflow/report`.
        snakemake: the job, with the outputs `png`, `pdf` and `txt`.
    """
    save_figure(figure, snakemake.output.png, snakemake.output.pdf)
    with atomic_write(snakemake.output.txt) as temporary:
        temporary.write_text(f"{render_caption(template, snakemake)}\n", encoding="utf-8")
