"""Figure of predictions by single checkpoints of the cyclical run (Zhao et al. 2022, Fig. 1)."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from cardiouq.data.readers.scans import load_prediction
from cardiouq.reporting.selection import choose_slice, mean_dice, success_and_failures
from cardiouq.reporting.slices import (
    Window,
    add_structure_legend,
    dense_layout,
    load_scan,
    name_panel,
)
from cardiouq.reporting.style import DOUBLE_COLUMN, use_style


def cycle_of_epoch(epoch: int, epochs: int, cycles: int) -> int:
    """Cycle, from 0, that an epoch of a cyclical schedule belongs to (Eq. 4: T_c = T / M)."""
    return epoch * cycles // epochs


def choose_checkpoints(
    samples: pd.DataFrame, epochs: int, cycles: int, per_cycle: int
) -> pd.DataFrame:
    """Choose the latest samples of each cycle.

    Args:
        samples: `samples.csv`, whose rows are in the order of the samples' files.
        epochs, cycles: of the cyclical schedule.
        per_cycle: how many samples of each cycle.

    Returns:
        Rows in order of epoch, with the columns `position` in the samples' files and `cycle`.
    """
    cycle = [cycle_of_epoch(epoch, epochs, cycles) for epoch in samples["epoch"]]
    placed = samples.assign(position=range(len(samples)), cycle=cycle).sort_values("epoch")
    return placed.groupby("cycle").tail(per_cycle).reset_index(drop=True)


def draw_checkpoints(
    checkpoints: pd.DataFrame, scores: pd.DataFrame, cases: pd.DataFrame, predictions: Path
) -> Figure:
    """Draw an easy slice (of the success) and a hard one (of the worst failure).

    Args:
        checkpoints: from `choose_checkpoints`.
        scores: rows of `scores.csv` of the checkpoint ensemble.
        predictions: folder `prediction/<method>` of the checkpoint ensemble.
    """
    use_style()
    volumes = success_and_failures(scores, n_failures=1)
    n_columns = len(checkpoints) + 1
    panel = DOUBLE_COLUMN / (n_columns + 0.25)
    height = panel * len(volumes) + 0.45
    figure = Figure(figsize=(DOUBLE_COLUMN, height), layout=dense_layout())
    axes = figure.subplots(len(volumes), n_columns, squeeze=False)
    for row, volume in zip(axes, volumes, strict=True):
        scan = load_scan(cases, volume.case)
        samples = load_prediction(predictions / volume.test_set / f"{volume.case}_samples.nii.gz")
        shown = [samples[position] for position in checkpoints["position"]]
        z = choose_slice(scan.reference, shown, volume.failure)
        window = Window.around(scan.reference[z], scan.spacing)
        for axis, labels in zip(row, [scan.reference, *shown], strict=True):
            window.show_image(axis, scan.image[z])
            window.draw_contours(axis, labels[z])
        for axis, labels in zip(row[1:], shown, strict=True):
            name_panel(axis, f"{mean_dice(scan.reference[z], labels[z]):.2f}")
        ease = "Hard" if volume.failure else "Easy"
        row[0].set_ylabel(f"{ease}: {scan.subject}\n{scan.phase}, slice {z + 1}", fontsize=7)
    axes[0, 0].set_title("Reference", fontsize=7)
    titles = "Cycle " + (checkpoints["cycle"] + 1).astype(str)
    titles += "\nepoch " + (checkpoints["epoch"] + 1).astype(str)
    for axis, title in zip(axes[0, 1:], titles, strict=True):
        axis.set_title(title, fontsize=7)
    add_structure_legend(figure, "outside lower left", "Dice of the slice, mean of structures")
    return figure
