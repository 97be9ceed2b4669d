"""Where a study's scans are, which are missing and how to get them, and in which state they are."""

from pathlib import Path
from typing import Any

from cardiouq.data.fetch.sources import read_sources
from cardiouq.data.readers.adapters import ADAPTERS
from cardiouq.data.readers.found import TRAINING, DataFolder
from cardiouq.data.readers.pseudonyms import read_key
from cardiouq.data.split import parts_of
from cardiouq.data.state import state_of
from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.structures import PHANTOM
from cardiouq.study.settings import Settings

SOURCES = "data_sources.csv"
"""Table in the folder of the configuration that says where public data sets are got."""


class Sources(Settings):
    """A study's settings, and the folders of scans that they name."""

    def source(self, dataset: str) -> Path:
        """Folder that a data set's adapter reads."""
        settings = self["datasets"][dataset]
        if settings["source"] == PHANTOM:
            return Path(self.results, "data", PHANTOM, settings["layout"])
        if "/" in settings["source"]:
            return self.beside(settings["source"])
        return Path(self.local_config[settings["source"]])

    def data_folders(self) -> dict[str, dict[str, Any]]:
        """Data set -> the fields of its `DataFolder`.

        Its parts are those that the study uses: the part for training of one that is split (or not
        used at all), and those of the test sets. Where a test set names several, any may be missing
        that nothing else needs.
        """
        needed: dict[str, set[str]] = {name: set() for name in self["datasets"]}
        optional: dict[str, set[str]] = {name: set() for name in self["datasets"]}
        needed[self["split"]["dataset"]].add(TRAINING)
        for block in self["test_sets"].values():
            parts = parts_of(block)
            (needed if len(parts) == 1 else optional)[block["dataset"]].update(parts)
        folders = {}
        for name, block in self.written["datasets"].items():
            used = needed[name] | optional[name] or {TRAINING}
            folders[name] = {key: value for key, value in block.items() if key != "source"}
            folders[name] |= {"root": str(self.source(name)), "parts": sorted(used)}
            if extra := sorted(optional[name] - needed[name]):
                folders[name]["optional"] = extra
        return folders

    def scan_states(self) -> dict[str, str]:
        """Data set -> the state of its scans on disk; of those that a rule generates, none."""
        return {
            name: state_of(DataFolder(**fields | {"root": Path(fields["root"])}))
            for name, fields in self.data_folders().items()
            if self["datasets"][name]["source"] != PHANTOM
        }

    def check_sources(self) -> None:
        """Raise a ProblemsError naming every data set that is not there, and how to get it."""
        found = {name: self._source_problem(name) for name in self["datasets"]}
        if problems := [f"{name}: {problem}" for name, problem in found.items() if problem]:
            raise ProblemsError(f"study {self.name} needs scans that are not there:", problems)

    def _source_problem(self, dataset: str) -> str:
        """Why a data set cannot be read, and what to do; "" if its folder is there."""
        layout, key = (self["datasets"][dataset][name] for name in ("layout", "source"))
        if key == PHANTOM:
            return ""
        if not self.local_config.get(key, key):
            or_without = (
                ", or take it and its test sets out of a copy of the study"
                if dataset != self["split"]["dataset"]
                else ""
            )
            return (
                f"`{key}` is empty; set it in config/config.yaml or by `--config {key}=FOLDER` (or "
                f"CARDIOUQ_{key.upper()} in the environment){or_without}"
                f"{self._how_to_get(layout, key)}"
            )
        folder = self.source(dataset)
        if not folder.is_dir():
            return f"`{key}` is {folder}, which is no folder{self._how_to_get(layout, key)}"
        if ADAPTERS[layout].is_pseudonymous:
            try:
                read_key(folder)
            except CardiouqError as error:
                return str(error)
        return ""

    def _how_to_get(self, layout: str, key: str) -> str:
        """Where a public data set is given, by whom and on which terms."""
        source = read_sources(self.config_folder / SOURCES).get(layout)
        if source is None:
            return ""
        terms = f"terms: {source.licence}; layout: docs/data.md"
        if source.access == "open":
            # of the demo, which needs no scans, as this study is refused until they are there
            return (
                f". Anyone may have it: `snakemake --cores 1 fetch_{layout} --config study=demo "
                f"{key}=FOLDER` downloads {source.bytes / 1e9:.1f} GB; {terms}"
            )
        return f". It is given by {source.access}: {source.apply_at}; {terms}"
