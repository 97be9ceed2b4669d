"""The history of a run: its training curves, as they stand in its folder."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cardiouq.files.tables import read_rows
from cardiouq.files.writing import atomic_write

HISTORY_COLUMNS = (
    "epoch",
    "learning_rate",
    "train_loss",
    "validation_loss",
    "validation_dice",
    "validation_nll",
    "seconds",
    "processor_seconds",
)


def write_history(history: Sequence[dict[str, float]], path: Path) -> None:
    """Write the rows of a run's history, atomically."""
    with atomic_write(path) as temporary:
        pd.DataFrame(history, columns=list(HISTORY_COLUMNS)).to_csv(temporary, index=False)


def read_history(path: Path) -> list[dict[str, float]]:
    """Read a run's history back, every bit of every number; NaN is written as nothing."""
    # pandas' own numbers differ in the last bit now and then
    texts = read_rows(path, numbers={}).to_dict("records")
    rows = [{str(name): float(text or "nan") for name, text in row.items()} for row in texts]
    return [{**row, "epoch": int(row["epoch"])} for row in rows]
