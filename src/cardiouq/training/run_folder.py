"""The side folder of a run in progress: everything needed to go on after an interruption.

A run grows in a side folder and becomes the output when it is complete.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from cardiouq.errors import CardiouqError
from cardiouq.files.reading import read
from cardiouq.files.run_files import CHECKPOINTS, RUN_FILE, products_folder, side_folder
from cardiouq.files.writing import HASHES_FILE, atomic_write, hashes_of, write_hashes


class SideFolder:
    """Folder where a run grows until it is complete; `identity` says which run it is.

    Raises:
        CardiouqError: an interrupted run of these settings is there, of other scans.
    """

    def __init__(self, output: Path, identity: dict[str, Any]) -> None:
        self.output = output
        self.path = side_folder(output)
        self.products = products_folder(output)
        self.state = self.path / "resume.safetensors"
        self.identity = json.dumps(identity, indent=2, sort_keys=True) + "\n"
        (self.products / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        identity_file = self.products / RUN_FILE
        found = read(identity_file) if identity_file.is_file() else b"{}"
        if found != self.identity.encode():
            self._check_scans(found)
            # other settings than the interrupted run's: its state is of no use
            shutil.rmtree(self.path)
            (self.products / CHECKPOINTS).mkdir(parents=True)
        with atomic_write(identity_file) as temporary:
            temporary.write_text(self.identity, encoding="utf-8")

    def is_finished(self) -> bool:
        """Tell whether the output is a run of these settings, be it of other code or scans.

        Snakemake runs a job again whose end it did not see, or whose parameters are spelt
        otherwise. Scans are for a prediction to judge, which refuses a run of others.
        """
        file = self.output / RUN_FILE
        return file.is_file() and _parted(read(file))[0] == _parted(self.identity)[0]

    def _check_scans(self, found: bytes) -> None:
        """Raise a CardiouqError if kept epochs are of these settings and of other scans."""
        (settings, scans), (wanted, present) = _parted(found), _parted(self.identity)
        if self.state.is_file() and settings == wanted:
            raise CardiouqError(
                f"{self.path}: holds the epochs of a training that was interrupted, of other "
                f"scans, another split or another plan (fingerprint {scans}) than the study has "
                f"now ({present}); give the study the former ones to go on, or delete the folder "
                "to train the run anew"
            )

    def finish(self) -> None:
        """Turn the products into the output; the state goes last, so a kill here costs nothing.

        `run.json` comes after all other files: it stands for a whole run.
        """
        if self.output.is_dir():
            shutil.rmtree(self.output)
        self.output.mkdir()
        hashes = hashes_of(self.products)
        write_hashes(self.output / HASHES_FILE, hashes)
        for name in sorted(hashes, key=lambda name: (name == RUN_FILE, name)):
            target = self.output / name
            target.parent.mkdir(exist_ok=True)
            _link(str(self.products / name), str(target))
        self.remove()

    def remove(self) -> None:
        """Remove the folder, renamed first: a kill meanwhile leaves no half state to resume."""
        done = self.path.with_suffix(".done")
        shutil.rmtree(done, ignore_errors=True)  # of a kill at this point
        self.path.replace(done)
        shutil.rmtree(done)


def _parted(identity: str | bytes) -> tuple[dict[str, Any], str | None]:
    """Settings of a run, and the fingerprint of what it was trained on."""
    settings: dict[str, Any] = json.loads(identity)
    return settings, settings.pop("data_fingerprint", None)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # some network file systems have no hard links
        shutil.copy2(source, target)
