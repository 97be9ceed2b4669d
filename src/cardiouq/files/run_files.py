"""Names of the files in a run's folder, for whoever writes, reads, compares or plans them."""

from pathlib import Path

RUN_FILE = "run.json"
"""Identity of a run; it is written last and stands for a complete run."""
MACHINE_FILE = "machine.json"
"""Machines and code that a run was trained by; a prediction has one too."""
ASKED_FILE = "asked.json"
"""Settings and runs of a prediction."""
HISTORY_FILE = "history.csv"
"""Training curves of a run, a row for each epoch."""
LAST_LAYER_FILE = "last_layer.npy"
"""Weights of the last decoder layer after each epoch, (epochs, weights) float32."""
MARK = "trained"
"""File beside a run that tells Snakemake that the job ended, as the run itself is no output."""
CHECKPOINTS = "checkpoints"
STATES = "states"


def checkpoint_file(epoch: int) -> str:
    """Path in a run's folder of the weights after an epoch (from 0)."""
    return f"{CHECKPOINTS}/epoch-{epoch:04d}.safetensors"


def state_file(epoch: int) -> str:
    """Path in a run's folder of the state after an epoch (from 0), where others branch from."""
    return f"{STATES}/epoch-{epoch:04d}.safetensors"


def side_folder(run: Path) -> Path:
    """Folder where a run grows until it is complete."""
    return run.with_name(f".{run.name}.unfinished")


def products_folder(run: Path) -> Path:
    """Folder that is to become the run's, while it grows."""
    return side_folder(run) / "products"
