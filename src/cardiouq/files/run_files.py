"""Names of the files in a run's folder, for whoever writes, reads, compares or plans them."""

from pathlib import Path

RUN_FILE = "run.json"
"""Which run it is. It is written last and stands for a whole run."""
MACHINE_FILE = "machine.json"
"""Where it was trained, and by which code; a prediction has one too."""
HISTORY_FILE = "history.csv"
"""Its training curves, a row for each epoch."""
LAST_LAYER_FILE = "last_layer.npy"
"""Weights of the last decoder layer after each epoch, (epochs, weights) float32."""
MARK = "trained"
"""Beside the run: Snakemake's word that the job ended, as the run itself is no output."""
CHECKPOINTS = "checkpoints"
STATES = "states"


def checkpoint_file(epoch: int) -> str:
    """The weights after an epoch (from 0)."""
    return f"{CHECKPOINTS}/epoch-{epoch:04d}.safetensors"


def state_file(epoch: int) -> str:
    """All that it takes to go on after an epoch (from 0), for other runs to branch from."""
    return f"{STATES}/epoch-{epoch:04d}.safetensors"


def side_folder(run: Path) -> Path:
    """Where a run grows until it is complete."""
    return run.with_name(f".{run.name}.unfinished")


def products_folder(run: Path) -> Path:
    """What is to become the run's folder, while it grows."""
    return side_folder(run) / "products"
