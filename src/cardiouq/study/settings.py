"""A study: its settings, checked, and which runs its methods need. Imports no torch."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cardiouq.data.fetch.sources import read_sources
from cardiouq.data.readers.adapters import PSEUDONYMOUS
from cardiouq.data.readers.layouts import TRAINING, DataFolder
from cardiouq.data.readers.pseudonyms import read_key
from cardiouq.data.state import state_of
from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.files.documents import check_schema, read_yaml
from cardiouq.files.run_files import state_file
from cardiouq.files.writing import expanded, written_whole
from cardiouq.methods import COMMON_KEYS, build_method, build_variant
from cardiouq.methods.base import BaseMethod, BaseVariant, Member
from cardiouq.recipes.schedule import AnySchedule, build_schedule
from cardiouq.structures import HEART
from cardiouq.study.checks import PHANTOM, study_problems

SOURCES = "data_sources.csv"
ROOMS = ("data", "training", "prediction", "evaluation", "reporting", "logs", "benchmarks")
"""Folders of a study's results."""
NAME = r"\w[\w.+-]*"
"""Of a study: it stands in paths of its results, and so in Snakemake's patterns and in commands."""
NOTE = "study.txt"
"""File in the folder of results that says of which study they are."""


class Study:
    """The settings of one study and what follows from them.

    Args:
        name: of a file in `config_folder/studies`, or a path to a study's YAML file.
        machine: the keys of `config.yaml`: where data lies, which device.
        config_folder: holds `studies/`, `schemas/` and `published/`.

    Raises:
        CardiouqError: if the study's file is missing, or called as no folder of results may be.
        ProblemsError: listing every misspelt, missing, out-of-range or inconsistent key.
    """

    def __init__(self, name: str, machine: Mapping[str, Any], config_folder: Path) -> None:
        self.config_folder = config_folder
        schemas = config_folder / "schemas"
        check_schema(machine, schemas / "config.schema.yaml", "config.yaml")
        self.file = _study_file(name, config_folder)
        self.name = self.file.stem
        self.results = f"results/{self.name}"
        self.machine = machine
        self.settings: dict[str, Any] = read_yaml(self.file)
        check_schema(self.settings, schemas / "study.schema.yaml", str(self.file))
        self._find_files_of_methods()
        if problems := study_problems(self):
            raise ProblemsError(f"{self.file}: {len(problems)} problem(s):", problems)

    def __getitem__(self, key: str) -> Any:
        return self.settings[key]

    @cached_property
    def methods(self) -> dict[str, BaseMethod]:
        """The study's methods in the order of its tables."""
        return {name: build_method(block) for name, block in self["methods"].items()}

    @cached_property
    def repeats(self) -> dict[str, tuple[str, int]]:
        """Name of every repeat but the first, which is the method itself -> the method that it
        repeats with other seeds, and which repeat it is, from 1."""
        return {
            f"{name}-repeat-{repeat + 1}": (name, repeat)
            for name, block in self["methods"].items()
            for repeat in range(1, block.get("repeats", 1))
        }

    def repeated(self, name: str) -> str:
        """The method that a repeat repeats; a method's own name."""
        return self.repeats.get(name, (name, 0))[0]

    def recipe_of(self, name: str) -> str:
        """The recipe of a method or of a repeat."""
        return str(self["methods"][self.repeated(name)]["recipe"])

    def method_members(self, name: str) -> list[Member]:
        """Members of a method or of a repeat, whose seeds are the next that are not used."""
        members = self.methods[self.repeated(name)].members()
        _, repeat = self.repeats.get(name, (name, 0))
        seeds = 1 + max(member.seed for member in members)
        return [replace(member, seed=member.seed + repeat * seeds) for member in members]

    def schedule(self, recipe: str) -> AnySchedule:
        """The schedule of a recipe."""
        return build_schedule(self["recipes"][recipe]["schedule"])

    def keep_epochs(self, recipe: str, member: Member) -> list[int]:
        """Epochs whose weights a run keeps: those that a method uses."""
        schedule = self.schedule(recipe)
        return sorted(
            {
                epoch
                for name in (*self.methods, *self.repeats)
                if self.recipe_of(name) == recipe and member in self.method_members(name)
                for epoch in self.methods[self.repeated(name)].checkpoint_epochs(schedule)
            }
        )

    def branch_epochs(self, recipe: str, member: Member) -> list[int]:
        """Epochs after which a run keeps its whole state, for others to branch from."""
        return sorted(
            {
                self.branch_epoch(other)
                for other, block in self["recipes"].items()
                if block.get("branch", {}).get("from") == recipe
                and any(replace(m, branch=None) == member for m in self._used_members(other))
            }
        )

    def branch_epoch(self, recipe: str) -> int:
        """The last epoch that the runs of a recipe share with the one that they branch from."""
        branch = self["recipes"][recipe]["branch"]
        shared: int = round(self.schedule(branch["from"]).epochs * branch["at"])
        return max(shared, 1) - 1

    def own_epochs(self, recipe: str) -> int:
        """How many epochs a run of a recipe trains itself; a branch has its first from its base."""
        shared = self.branch_epoch(recipe) + 1 if "branch" in self["recipes"][recipe] else 0
        return self.schedule(recipe).epochs - shared

    def base_run(self, recipe: str, member: Member) -> tuple[str, Member] | None:
        """Recipe and member of the run that a run branches from."""
        branch = self["recipes"][recipe].get("branch")
        return (branch["from"], replace(member, branch=None)) if branch else None

    def base_folder(self, recipe: str, member: Member) -> list[str]:
        """Folder of the run that a run branches from, if it does."""
        base = self.base_run(recipe, member)
        return [self.run_folder(*base)] if base else []

    def base_state(self, recipe: str, member: Member) -> str | None:
        """File of the state that a run starts from; None if it starts from scratch."""
        for folder in self.base_folder(recipe, member):
            return f"{folder}/{state_file(self.branch_epoch(recipe))}"
        return None

    def key(self, recipe: str, member: Member) -> str:
        """Eight hex digits that change with every setting that a run depends on.

        They stand in the run's path: changed settings train a new run, whatever the age of files.
        """
        depends_on = {
            "recipe": self["recipes"][recipe],
            "keep_epochs": self.keep_epochs(recipe, member),
            "dataset": self["datasets"][self["split"]["dataset"]],
            **{part: self.settings.get(part) for part in ("seed", "phantom", "split", "plan")},
        }
        if states := self.branch_epochs(recipe, member):
            depends_on["branch_epochs"] = states
        if "structures" in self.settings:
            depends_on["structures"] = self["structures"]
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

    def members(self, recipe: str) -> list[Member]:
        """Members of a recipe that some method uses, or some run branches from."""
        used = self._used_members(recipe)
        for other, block in self["recipes"].items():
            if block.get("branch", {}).get("from") == recipe:
                used |= {replace(member, branch=None) for member in self._used_members(other)}
        return sorted(used, key=str)

    def _used_members(self, recipe: str) -> set[Member]:
        return {
            member
            for name in (*self.methods, *self.repeats)
            if self.recipe_of(name) == recipe
            for member in self.method_members(name)
        }

    def trajectory_method(self) -> str | None:
        """The method that samples the most cycles of a run, which the figures of a trajectory show;
        None if the study has no such method."""
        cycles = {name: method.cycles_sampled() for name, method in self.methods.items()}
        most = max(cycles, key=cycles.__getitem__)
        return most if cycles[most] else None

    def variant(self, method: str) -> BaseVariant:
        """How the runs of a method or of a repeat are trained."""
        return build_variant(self["recipes"][self.recipe_of(method)].get("variant"))

    @cached_property
    def styles(self) -> dict[str, tuple[str | None, str | None]]:
        """Method -> colour and marker in figures: the study's colour, else what its variant or the
        method itself says; None: in that of a spare style."""
        return {name: self._style(name) for name in self.methods}

    def _style(self, name: str) -> tuple[str | None, str | None]:
        recipe = self["recipes"][self.recipe_of(name)]
        own = self.variant(name).style or self.methods[name].style(recipe)
        colour, marker = own or (None, None)
        return self["methods"][name].get("colour", colour), marker

    def run_settings(self, recipe: str, member: Member) -> str:
        """JSON of what a run needs beside the data."""
        return json.dumps(
            {
                "recipe_name": recipe,
                "recipe": self["recipes"][recipe],
                "member": str(member),
                "seed": self["seed"],
                "keep_epochs": self.keep_epochs(recipe, member),
                "branch_epochs": self.branch_epochs(recipe, member),
                "base": self.base_state(recipe, member),
            }
        )

    def prediction_settings(self, method: str) -> str:
        """JSON of what a method's or a repeat's prediction needs beside the data and the runs."""
        block = self["methods"][self.repeated(method)]
        return json.dumps(
            {
                "name": method,
                # what a prediction does not depend on would predict it again
                "method": {k: v for k, v in block.items() if k == "method" or k not in COMMON_KEYS},
                "members": [str(member) for member in self.method_members(method)],
                "recipe": self["recipes"][block["recipe"]],
                "seed": self["seed"],
                **_own_code(block["method"]),
                **self["prediction"],
            }
        )

    def distorted_test_sets(self) -> dict[str, dict[str, Any]]:
        """Name of each test set of distorted scans -> the test set it is made from, kind, place of
        the degree (from 1; 0 would be the test set itself) and degree."""
        settings = self.settings.get("distortions")
        if not settings:
            return {}
        return {
            f"{settings['test_set']}+{kind}-{place}": {
                "of": settings["test_set"],
                "kind": kind,
                "place": place,
                "degree": degree,
            }
            for kind, degrees in settings["kinds"].items()
            for place, degree in enumerate(degrees, start=1)
        }

    @property
    def structures(self) -> tuple[str, ...]:
        """Foreground structures in the order of their labels."""
        return tuple(self.settings.get("structures", HEART))

    def data_folders(self) -> dict[str, dict[str, Any]]:
        """Data set -> the fields of its `DataFolder`. Its parts are those that the study uses: of a
        split one (or one that is not used at all) the part for training, and those of the test
        sets."""
        parts: dict[str, set[str]] = {name: set() for name in self["datasets"]}
        parts[self["split"]["dataset"]].add(TRAINING)
        for block in self["test_sets"].values():
            parts[block["dataset"]].add(block.get("part", TRAINING))
        return {
            name: {key: value for key, value in block.items() if key != "source"}
            | {"root": str(self.source(name)), "parts": sorted(parts[name] or {TRAINING})}
            for name, block in self["datasets"].items()
        }

    def scan_states(self) -> dict[str, str]:
        """Data set -> the state of its scans on disk; of those that a rule generates, none."""
        return {
            name: state_of(DataFolder(**fields | {"root": Path(fields["root"])}))
            for name, fields in self.data_folders().items()
            if self["datasets"][name]["source"] != PHANTOM
        }

    def source(self, dataset: str) -> Path:
        """Folder that a data set's adapter reads."""
        settings = self["datasets"][dataset]
        if settings["source"] == PHANTOM:
            return Path(self.results, "data", PHANTOM, settings["layout"])
        if "/" in settings["source"]:
            return self._beside(settings["source"])
        return Path(self.machine[settings["source"]])

    def check_results(self) -> None:
        """Raise a CardiouqError if the folder of results is that of another study of this name."""
        note = Path(self.results, NOTE)
        if not note.is_file():
            return
        other = _path_of(os.fsdecode(note.read_bytes()), self.config_folder)
        if other.is_file() and not other.samefile(self.file):
            raise CardiouqError(
                f"{self.results}: holds the results of the study {other}, and those of {self.file} "
                "would go there too; rename one of the two files, or move the folder away"
            )

    def claim_results(self) -> None:
        """Note in the folder of results whose they are, as one would say it by `study=`."""
        spelt = os.path.relpath(self.file.parent.resolve() / self.file.name)
        named = _path_of(self.name, self.config_folder)
        if named.is_file() and named.samefile(self.file):
            spelt = self.name
        with written_whole(Path(self.results, NOTE)) as temporary:
            temporary.write_bytes(os.fsencode(spelt))

    def check_sources(self) -> None:
        """Raise a ProblemsError naming every data set that is not there, and how to get it."""
        problems = []
        for dataset, settings in self["datasets"].items():
            key = settings["source"]
            if key == PHANTOM:
                continue
            if not self.machine.get(key, key):
                problems.append(
                    f"{dataset}: `{key}` is empty; set it in config/config.yaml or by "
                    f"`--config {key}=FOLDER` (or CARDIOUQ_{key.upper()} in the environment)"
                    f"{self._how_to_get(settings['layout'], key)}"
                )
            elif not self.source(dataset).is_dir():
                problems.append(
                    f"{dataset}: `{key}` is {self.source(dataset)}, which is no folder"
                    f"{self._how_to_get(settings['layout'], key)}"
                )
            elif settings["layout"] in PSEUDONYMOUS:
                try:
                    read_key(self.source(dataset))
                except CardiouqError as error:
                    problems.append(f"{dataset}: {error}")
        if problems:
            raise ProblemsError(f"study {self.name} needs scans that are not there:", problems)

    def _how_to_get(self, layout: str, key: str) -> str:
        """Where a public data set is given, by whom and on which terms."""
        source = read_sources(self.config_folder / SOURCES).get(layout)
        if source is None:
            return ""
        terms = f"terms: {source.licence}; layout: docs/data.md"
        if source.access == "open":
            return (
                f". Anyone may have it: `snakemake --cores 1 fetch_{layout} --config "
                f"{key}=FOLDER` downloads {source.bytes / 1e9:.1f} GB; {terms}"
            )
        return f". It is given by {source.access}: {source.apply_at}; {terms}"

    def _find_files_of_methods(self) -> None:
        """Spell the paths of the user's own methods from the working directory."""
        named = [(block, "method") for block in self["methods"].values()]
        named += [(b["variant"], "name") for b in self["recipes"].values() if "variant" in b]
        # recipes that YAML merges share a block, which is to be changed once
        for block, key in {id(block): (block, key) for block, key in named}.values():
            if block[key].endswith(".py"):
                block[key] = str(self._beside(block[key]))

    def _beside(self, path: str) -> Path:
        """Where a path is that is given from the study's file."""
        return self.file.parent / expanded(path)


def _own_code(name: str | None) -> dict[str, str]:
    """A hash of the user's own file of a method, so that changed code is computed anew; nothing for
    a method of the package."""
    if name is None or not name.endswith(".py"):
        return {}
    return {"code": hashlib.sha256(Path(name).read_bytes()).hexdigest()[:8]}


def _path_of(name: str, config_folder: Path) -> Path:
    if name.endswith((".yaml", ".yml")):
        return expanded(name)
    return config_folder / "studies" / f"{name}.yaml"


def _study_file(name: str, config_folder: Path) -> Path:
    file = _path_of(name, config_folder)
    try:
        is_there = file.is_file()
    except OSError as error:
        raise CardiouqError(f"{file}: cannot be a study's file ({error.strerror})") from error
    if not is_there:
        known = sorted(path.stem for path in (config_folder / "studies").glob("*.yaml"))
        raise CardiouqError(
            f"{file}: there is no such study; `study` is one of {known} or the path of a YAML file"
        )
    if not re.fullmatch(NAME, file.stem):
        raise CardiouqError(
            f"{str(file)!r}: a study may not be called {file.stem!r}, as its results are; expected "
            "letters, digits, `_`, `-`, `+` and `.`, the first none of the last three. Rename the "
            "file"
        )
    return file
