"""Which runs a method needs, and how much of each. Imports nothing that takes long: the workflow
asks whenever it starts."""

from typing import TypedDict

from cardiouq.files.run_files import checkpoint_file
from cardiouq.study.settings import Study


class NeededRun(TypedDict):
    """A run that a method needs, or the part of it that other runs branch from."""

    folder: str
    last_epoch: int
    """The last that counts, from 0."""
    iterations_per_epoch: int


def needed_runs(study: Study, method: str) -> list[NeededRun]:
    """Each run that a method predicts or fits with, and each that these branch from, once.

    A run that branches counts its own epochs alone: its `history.csv` has no others.
    """
    recipe = study["methods"][method]["recipe"]
    last_epochs = {}
    for member in study.methods[method].members():
        last_epochs[recipe, member] = study.schedule(recipe).epochs - 1
        if base := study.base_run(recipe, member):
            last_epochs[base] = study.branch_epoch(recipe)
    return [
        NeededRun(
            folder=study.run_folder(of_recipe, member),
            last_epoch=last_epoch,
            iterations_per_epoch=study["recipes"][of_recipe]["iterations_per_epoch"],
        )
        for (of_recipe, member), last_epoch in last_epochs.items()
    ]


def needed_checkpoints(study: Study, method: str) -> list[str]:
    """Files of the weights that a method's prediction reads, to fit and to predict."""
    schedule = study.schedule(study["methods"][method]["recipe"])
    epochs = study.methods[method].checkpoint_epochs(schedule)
    return [
        f"{folder}/{checkpoint_file(epoch)}"
        for folder in study.run_folders(method)
        for epoch in epochs
    ]
