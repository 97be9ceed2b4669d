"""The runs of a study: their keys and folders, what each job is given, which runs a method needs.

Imports nothing that takes long: the workflow asks whenever it starts.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from cardiouq.files.run_files import checkpoint_file, state_file
from cardiouq.methods import predicted_by
from cardiouq.methods.base import Member
from cardiouq.seeds import derive
from cardiouq.study.members import Members


class Runs(Members):
    """A study's members, and the runs on disk that they are.

    What is hashed and what jobs are given is `written`: no default stands in it. Its keys are
    sorted, as Snakemake runs a job again that is given another text.
    """

    def key(self, recipe: str, member: Member) -> str:
        """Eight hex digits that change with every setting that a run depends on.

        They stand in the run's path: changed settings train a new run, whatever the age of files.
        """
        depends_on = {
            "recipe": self.written["recipes"][recipe],
            "keep_epochs": self.keep_epochs(recipe, member),
            "dataset": _wherever_it_is(self.written["datasets"][self["split"]["dataset"]]),
        }
        for part in ("seed", "phantom", "split", "plan"):
            depends_on[part] = self.written.get(part)
        if states := self.branch_epochs(recipe, member):
            depends_on["branch_epochs"] = states
        if "structures" in self.written:
            depends_on["structures"] = self.written["structures"]
        if base := self.base_run(recipe, member):
            depends_on["base"] = self.key(*base)
        depends_on |= _own_code(self["recipes"][recipe].get("variant", {}).get("name"))
        text = json.dumps(depends_on, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def run_folder(self, recipe: str, member: Member) -> str:
        """Folder of a run, relative to the working directory."""
        return f"{self.results}/training/{recipe}-{self.key(recipe, member)}/seed-{member}"

    def run_folders(self, method: str) -> list[str]:
        """Folders of the runs that a method or a repeat draws from."""
        recipe = self.recipe_of(method)
        return [self.run_folder(recipe, member) for member in self.method_members(method)]

    def all_run_folders(self) -> dict[str, str]:
        """Label -> folder of every run of the study, each once."""
        return {
            f"{recipe}, seed {member}": self.run_folder(recipe, member)
            for recipe in self["recipes"]
            for member in self.members(recipe)
        }

    def base_folder(self, recipe: str, member: Member) -> list[str]:
        """Folder of the run that a run branches from, if it does."""
        base = self.base_run(recipe, member)
        return [self.run_folder(*base)] if base else []

    def base_state(self, recipe: str, member: Member) -> str | None:
        """File of the state that a run starts from; None if it starts from scratch."""
        base = self.base_run(recipe, member)
        return f"{self.run_folder(*base)}/{state_file(self.branch_epoch(recipe))}" if base else None

    def run_settings(self, recipe: str, member: Member) -> str:
        """JSON of what a run needs beside the data."""
        return json.dumps(
            {
                "recipe_name": recipe,
                "recipe": self.written["recipes"][recipe],
                "member": str(member),
                "seed": self["seed"],
                "keep_epochs": self.keep_epochs(recipe, member),
                "branch_epochs": self.branch_epochs(recipe, member),
                "base": self.base_state(recipe, member),
            },
            sort_keys=True,
        )

    def prediction_settings(self, method: str) -> str:
        """JSON of what a method's or a repeat's prediction needs beside the data and the runs."""
        block = self.written["methods"][self.repeated(method)]
        # what a prediction does not depend on would predict it again
        own = predicted_by(block)
        _, repeat = self.repeats.get(method, (method, 0))
        common = {
            "name": method,
            "method": own,
            "seed": self["seed"],
            "sampling_seed": derive(self["seed"], "repeat", repeat) if repeat else self["seed"],
            **_own_code(block["method"]),
        }
        if pretrained := self.pretrained().get(method):
            return json.dumps(
                common | {"fingerprint": pretrained.fingerprint(), "structures": self.structures},
                sort_keys=True,
            )
        return json.dumps(
            common
            | {
                "members": [str(member) for member in self.method_members(method)],
                "recipe": self.written["recipes"][block["recipe"]],
                **self.written["prediction"],
            },
            sort_keys=True,
        )

    def asked(self, method: str) -> dict[str, Any]:
        """What a method's or a repeat's prediction is asked for: its settings and runs."""
        settings: dict[str, Any] = json.loads(self.prediction_settings(method))
        return settings | {"runs": self.run_folders(method)}

    def asked_to_score(self) -> dict[str, Any]:
        """What every scoring is asked for: settings, test sets that a forest learns from, seed."""
        evaluation = self["evaluation"]
        return {
            "settings": {
                "ece": {name: evaluation["ece"][name] for name in ("bins", "box", "margin")},
                "surface": evaluation["surface"],
                "bootstrap": {"confidence": evaluation["bootstrap"]["confidence"]},
            },
            "learnt_from": self.in_domain or list(self["test_sets"]),
            "seed": self["seed"],
        }

    def models(self) -> dict[str, dict[str, str]]:
        """Method that trains nothing -> fingerprint of its model; nothing if there is none."""
        found = {name: method.fingerprint() for name, method in self.pretrained().items()}
        return {"models": found} if found else {}


def _wherever_it_is(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A data set without the path of its folder: which scans a run saw is in its fingerprint."""
    return {
        key: value for key, value in dataset.items() if key != "source" or "/" not in str(value)
    }


def _own_code(name: str | None) -> dict[str, str]:
    """A hash of the user's own file of a method, so that changed code is computed anew."""
    if name is None or not name.endswith(".py"):
        return {}
    return {"code": hashlib.sha256(Path(name).read_bytes()).hexdigest()[:8]}


class NeededRun(TypedDict):
    """A run that a method needs, or the part of it that other runs branch from."""

    folder: str
    last_epoch: int
    """The last that counts, from 0."""
    iterations_per_epoch: int


def needed_runs(study: Runs, method: str) -> list[NeededRun]:
    """Each run that a method predicts or fits with, and each that these branch from, once.

    A run that branches counts its own epochs alone: its `history.csv` has no others.
    """
    recipe = study.recipe_of(method)
    last_epochs: dict[tuple[str, Member], int] = {}
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


def needed_checkpoints(study: Runs, method: str) -> list[str]:
    """Files of the weights of runs that a method's prediction reads, to fit and to predict."""
    return [
        f"{folder}/{checkpoint_file(epoch)}"
        for folder in study.run_folders(method)
        for epoch in study.methods[method].checkpoint_epochs(study.schedule_of(method))
    ]
