"""The side folder of a run in progress: everything needed to go on after an interruption.

A run grows in a side folder and becomes the output when it is complete.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from cardiouq.files.reading import read
from cardiouq.files.run_files import CHECKPOINTS, RUN_FILE, products_folder, side_folder
from cardiouq.files.writing import HASHES_FILE, atomic_write, hashes_of, write_hashes


class SideFolder:
    """Folder where a run grows until it is complete; `identity` says which run it is."""

    def __init__(self, output: Path, identity: dict[str, Any]) -> None:
        self.output = output
        self.path = side_folder(output)
        self.products = products_folder(output)
        self.state = self.path / "resume.safetensors"
        self.identity = json.dumps(identity, indent=2, sort_keys=True) + "\n"
        (self.products / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        identity_file = self.products / RUN_FILE
        if not identity_file.is_file() or read(identity_file) != self.identity.encode():
            # other data or settings than the interrupted run's: its state is of no use
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
        return file.is_file() and _settings(read(file)) == _settings(self.identity)

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


def _settings(identity: str | bytes) -> dict[str, Any]:
    """Identity of a run without what it was trained on."""
    return {k: v for k, v in json.loads(identity).items() if k != "data_fingerprint"}


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # some network file systems have no hard links
        shutil.copy2(source, target)
