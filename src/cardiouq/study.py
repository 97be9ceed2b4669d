"""A study: its settings, checked, and which runs its methods need. Imports no torch."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from cardiouq.config import check_schema, read_yaml, schema_problems
from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.methods import COMMON_KEYS, build_method, method_class, method_names
from cardiouq.methods.base import BaseMethod
from cardiouq.methods.checkpoint_ensemble import Method as CheckpointEnsemble
from cardiouq.training.schedule import CyclicalSchedule, PolynomialSchedule, build_schedule

PHANTOM = "phantom"
"""Source of a data set that a rule generates; other sources are keys of `config.yaml`."""


class Study:
    """The settings of one study and what follows from them.

    Args:
        name: of a file in `config_folder/studies`, or a path to a study's YAML file.
        machine: the keys of `config.yaml`: where data lies, which device.
        config_folder: holds `studies/`, `schemas/` and `published/`.

    Raises:
        CardiouqError: if the study's file is missing.
        ProblemsError: listing every misspelt, missing, out-of-range or inconsistent key.
    """

    def __init__(self, name: str, machine: Mapping[str, Any], config_folder: Path) -> None:
        schemas = config_folder / "schemas"
        check_schema(machine, schemas / "config.schema.yaml", "config.yaml")
        self.file = _study_file(name, config_folder)
        self.name = self.file.stem
        self.results = f"results/{self.name}"
        self.machine = machine
        self.settings: dict[str, Any] = read_yaml(self.file)
        check_schema(self.settings, schemas / "study.schema.yaml", str(self.file))
        problems = [*self._reference_problems(), *self._method_problems()]
        if problems:
            raise ProblemsError(f"{self.file}: {len(problems)} problem(s):", problems)

    def __getitem__(self, key: str) -> Any:
        return self.settings[key]

    @cached_property
    def methods(self) -> dict[str, BaseMethod]:
        """The study's methods in the order of its tables."""
        return {name: build_method(block) for name, block in self["methods"].items()}

    def schedule(self, recipe: str) -> PolynomialSchedule | CyclicalSchedule:
        """The schedule of a recipe."""
        return build_schedule(self["recipes"][recipe]["schedule"])

    def keep_epochs(self, recipe: str) -> list[int]:
        """Epochs whose weights the runs of a recipe keep: those that a method uses."""
        schedule = self.schedule(recipe)
        return sorted(
            {
                epoch
                for name, method in self.methods.items()
                if self["methods"][name]["recipe"] == recipe
                for epoch in method.checkpoint_epochs(schedule)
            }
        )

    def key(self, recipe: str) -> str:
        """Eight hex digits that change with every setting that a run of the recipe depends on.

        They stand in the run's path: changed settings train a new run, whatever the age of files.
        """
        depends_on = {
            "recipe": self["recipes"][recipe],
            "keep_epochs": self.keep_epochs(recipe),
            "dataset": self["datasets"][self["split"]["dataset"]],
            **{part: self.settings.get(part) for part in ("seed", "phantom", "split", "plan")},
        }
        text = json.dumps(depends_on, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def run_folder(self, recipe: str, member: int) -> str:
        """Folder of a run, relative to the working directory."""
        return f"{self.results}/training/{recipe}-{self.key(recipe)}/seed-{member}"

    def run_folders(self, method: str) -> list[str]:
        """Folders of the runs that a method draws from."""
        recipe = self["methods"][method]["recipe"]
        return [self.run_folder(recipe, member) for member in self.methods[method].members()]

    def all_run_folders(self) -> dict[str, str]:
        """Label -> folder of every run of the study, each once."""
        return {
            f"{recipe}, seed {member}": self.run_folder(recipe, member)
            for recipe in self["recipes"]
            for member in self.members(recipe)
        }

    def members(self, recipe: str) -> list[int]:
        """Members of a recipe that some method uses."""
        return sorted(
            {
                member
                for name, method in self.methods.items()
                if self["methods"][name]["recipe"] == recipe
                for member in method.members()
            }
        )

    def trajectory_method(self) -> str | None:
        """The checkpoint ensemble over the most cycles, whose run the figures of a trajectory show;
        None if the study has no such method."""
        cycles = {
            name: method.cycles
            for name, method in self.methods.items()
            if isinstance(method, CheckpointEnsemble)
        }
        return max(cycles, key=cycles.__getitem__, default=None)

    def run_settings(self, recipe: str, member: int) -> str:
        """JSON of what a run needs beside the data."""
        return json.dumps(
            {
                "recipe_name": recipe,
                "recipe": self["recipes"][recipe],
                "member": member,
                "seed": self["seed"],
                "keep_epochs": self.keep_epochs(recipe),
            }
        )

    def prediction_settings(self, method: str) -> str:
        """JSON of what a method's prediction needs beside the data and the runs."""
        block = self["methods"][method]
        return json.dumps(
            {
                "name": method,
                "method": block,
                "schedule": self["recipes"][block["recipe"]]["schedule"],
                "seed": self["seed"],
                **self["prediction"],
            }
        )

    def roots(self) -> dict[str, tuple[str, str]]:
        """Data set -> (layout, folder)."""
        return {
            dataset: (settings["layout"], str(self.source(dataset)))
            for dataset, settings in self["datasets"].items()
        }

    def scan_files(self) -> list[str]:
        """What the case table is made from: the phantom's folder, or every file of the scans."""
        files: set[str] = set()
        for dataset, settings in self["datasets"].items():
            root = self.source(dataset)
            if settings["source"] == PHANTOM:
                files.add(str(root.parent))
            else:
                files |= {str(path) for path in root.rglob("*") if path.is_file()}
        return sorted(files)

    def source(self, dataset: str) -> Path:
        """Folder that a data set's adapter reads."""
        settings = self["datasets"][dataset]
        if settings["source"] == PHANTOM:
            return Path(self.results, "data", PHANTOM, settings["layout"])
        return Path(self.machine[settings["source"]])

    def check_sources(self) -> None:
        """Raise a ProblemsError naming every data set whose folder is not there."""
        problems = []
        for dataset, settings in self["datasets"].items():
            key = settings["source"]
            if key == PHANTOM:
                continue
            if not self.machine[key]:
                problems.append(
                    f"{dataset}: `{key}` is empty; set it in config/config.yaml or by "
                    f"`--config {key}=FOLDER` (or CARDIOUQ_{key.upper()} in the environment)"
                )
            elif not self.source(dataset).is_dir():
                problems.append(f"{dataset}: `{key}` is {self.source(dataset)}, which is no folder")
        if problems:
            raise ProblemsError(f"study {self.name} needs scans that are not there:", problems)

    def _reference_problems(self) -> Iterator[str]:
        datasets, recipes = self["datasets"], self["recipes"]
        named = [("split", "dataset", self["split"]["dataset"], datasets)]
        for test_set, block in self["test_sets"].items():
            named.append((f"test_sets.{test_set}", "dataset", block["dataset"], datasets))
        for method, block in self["methods"].items():
            named.append((f"methods.{method}", "recipe", block["recipe"], recipes))
            named.append((f"methods.{method}", "method", block["method"], method_names()))
        for place, key, value, allowed in named:
            if value not in allowed:
                yield f"{place}.{key}: {value!r} is not one of {sorted(allowed)}"
        for recipe, block in recipes.items():
            low, high = block["augmentation"]["scale"]
            if low > high:
                yield (
                    f"recipes.{recipe}.augmentation.scale: [{low}, {high}] goes down; expected the "
                    "smaller number first"
                )
        generated = any(block["source"] == PHANTOM for block in datasets.values())
        if generated and PHANTOM not in self.settings:
            yield "phantom: missing, but a data set's source is phantom"

    def _method_problems(self) -> Iterator[str]:
        for name, block in self["methods"].items():
            if block["method"] not in method_names():
                continue
            schema = {
                "type": "object",
                "properties": dict.fromkeys(COMMON_KEYS, True)
                | dict(method_class(block["method"]).schema),
                "additionalProperties": False,
            }
            found = list(schema_problems(block, schema))
            yield from (f"methods.{name}.{problem}" for problem in found)
            if found or block["recipe"] not in self["recipes"]:
                continue
            try:
                build_method(block).checkpoint_epochs(self.schedule(block["recipe"]))
            except (ValueError, AttributeError) as error:
                yield f"methods.{name}: does not go with recipe {block['recipe']!r}: {error}"


def _study_file(name: str, config_folder: Path) -> Path:
    if name.endswith((".yaml", ".yml")):
        file = Path(name)
    else:
        file = config_folder / "studies" / f"{name}.yaml"
    if not file.is_file():
        known = sorted(path.stem for path in (config_folder / "studies").glob("*.yaml"))
        raise CardiouqError(
            f"{file}: there is no such study; `study` is one of {known} or the path of a YAML file"
        )
    return file
