"""The settings of a study as its file has them, and with the defaults of what it leaves out."""

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from cardiouq.errors import CardiouqError
from cardiouq.files.documents import check_schema, read_yaml
from cardiouq.files.writing import expand_home
from cardiouq.methods import build_method
from cardiouq.methods.base import BaseMethod
from cardiouq.recipes.schedule import Schedule, build_schedule
from cardiouq.study.schema import filled_in, schema_of

NAME = r"\w[\w.+-]*"
"""Pattern of a study's name, which stands in paths and so in Snakemake's patterns and commands."""


class Settings:
    """The settings of one study, each kept to its schema.

    `settings["plan"]` has the defaults filled in. `written` has none: keys of runs are made of it,
    and parameters of all jobs that predictions wait for, so that a default that is new in a schema
    changes neither.

    Args:
        name: of a file in `config_folder/studies`, or a path to a study's YAML file.
        local_config: the keys of `config.yaml`: where data lies, which device.
        config_folder: holds `studies/` and `published/`.

    Raises:
        CardiouqError: if the study's file is missing, or called as no folder of results may be.
        ProblemsError: listing every misspelt, missing or out-of-range key.
    """

    def __init__(self, name: str, local_config: Mapping[str, Any], config_folder: Path) -> None:
        check_schema(local_config, schema_of("config"), "config.yaml")
        self.local_config = local_config
        self.config_folder = config_folder
        self.file = study_file(name, config_folder)
        self.name = self.file.stem
        self.results = f"results/{self.name}"
        self.written: dict[str, Any] = read_yaml(self.file)
        check_schema(self.written, schema_of("study"), str(self.file))
        self._find_files()
        self._filled_in = filled_in(self.written)

    def __getitem__(self, key: str) -> Any:
        return self._filled_in[key]

    def __contains__(self, key: str) -> bool:
        return key in self._filled_in

    @cached_property
    def methods(self) -> dict[str, BaseMethod]:
        """The study's methods in the order of its tables."""
        return {name: build_method(block) for name, block in self["methods"].items()}

    @property
    def structures(self) -> tuple[str, ...]:
        """Foreground structures in the order of their labels."""
        return tuple(self["structures"])

    def schedule(self, recipe: str) -> Schedule:
        """The schedule of a recipe."""
        return build_schedule(self["recipes"][recipe]["schedule"])

    def distorted_test_sets(self) -> dict[str, dict[str, Any]]:
        """Name of each test set of distorted scans -> what it is made from, and how.

        That is the test set `of`, `kind`, `place` of the degree (from 1; 0 would be the test set
        itself) and `degree`.
        """
        if "distortions" not in self:
            return {}
        test_set = self["distortions"]["test_set"]
        return {
            f"{test_set}+{kind}-{place}": {
                "of": test_set,
                "kind": kind,
                "place": place,
                "degree": degree,
            }
            for kind, degrees in self["distortions"]["kinds"].items()
            for place, degree in enumerate(degrees, start=1)
        }

    @property
    def in_domain(self) -> list[str]:
        """Names of the test sets that are in domain."""
        return [name for name, block in self["test_sets"].items() if block["domain"] == "ID"]

    def beside(self, path: str) -> Path:
        """Where a path is that is given from the study's file."""
        return self.file.parent / expand_home(path)

    def _find_files(self) -> None:
        """Spell the paths of models and of the user's own methods from the working directory."""
        methods, recipes = self.written["methods"].values(), self.written["recipes"].values()
        named = [(block, "method") for block in methods]
        named += [(block["variant"], "name") for block in recipes if "variant" in block]
        named = [(block, key) for block, key in named if block[key].endswith(".py")]
        named += [(block, "model") for block in methods if "model" in block]
        # blocks that YAML merges are one, which is to be changed once
        for block, key in {(id(block), key): (block, key) for block, key in named}.values():
            block[key] = _spelt_once(self.beside(block[key]))


def _spelt_once(path: Path) -> str:
    """A path from the working directory or, of what is not below it, from the root: it is the same
    however the study's own path was given, as keys of runs are made of it."""
    here = Path.cwd()
    full = Path(os.path.normpath(here / path))  # links stay
    return str(full.relative_to(here) if full.is_relative_to(here) else full)


def path_of(name: str, config_folder: Path) -> Path:
    """The file that `study` names, which need not be there."""
    if name.endswith((".yaml", ".yml")):
        return expand_home(name)
    return config_folder / "studies" / f"{name}.yaml"


def study_file(name: str, config_folder: Path) -> Path:
    """The file that `study` names; a CardiouqError if there is none, or its name cannot be."""
    file = path_of(name, config_folder)
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
