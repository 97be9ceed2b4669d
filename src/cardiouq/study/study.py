"""A study: its settings, checked, the runs and scans that follow from them, its folder of results.

Imports no torch.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.files.writing import written_whole
from cardiouq.study.checks import study_problems
from cardiouq.study.runs import Runs
from cardiouq.study.settings import path_of
from cardiouq.study.sources import Sources

ROOMS = ("data", "training", "prediction", "evaluation", "reporting", "logs", "benchmarks")
"""Folders of a study's results."""
NOTE = "study.txt"
"""File in the folder of results that says of which study they are."""


class Study(Runs, Sources):
    """One study and all that follows from its settings; arguments are those of `Settings`.

    Raises:
        CardiouqError: if the study's file is missing, or called as no folder of results may be.
        ProblemsError: listing every misspelt, missing, out-of-range or inconsistent key.
    """

    def __init__(self, name: str, local_config: Mapping[str, Any], config_folder: Path) -> None:
        super().__init__(name, local_config, config_folder)
        if problems := study_problems(self):
            raise ProblemsError(f"{self.file}: {len(problems)} problem(s):", problems)

    def check_results(self) -> None:
        """Raise a CardiouqError if the folder of results is that of another study of this name."""
        note = Path(self.results, NOTE)
        if not note.is_file():
            return
        other = path_of(os.fsdecode(note.read_bytes()), self.config_folder)
        if other.is_file() and not other.samefile(self.file):
            raise CardiouqError(
                f"{self.results}: holds the results of the study {other}, and those of {self.file} "
                "would go there too; rename one of the two files, or move the folder away"
            )

    def claim_results(self) -> None:
        """Note in the folder of results whose they are, as one would say it by `study=`."""
        spelt = os.path.relpath(self.file.parent.resolve() / self.file.name)
        named = path_of(self.name, self.config_folder)
        if named.is_file() and named.samefile(self.file):
            spelt = self.name
        with written_whole(Path(self.results, NOTE)) as temporary:
            temporary.write_bytes(os.fsencode(spelt))
