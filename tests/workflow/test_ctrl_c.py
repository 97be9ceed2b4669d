"""Ctrl-C, which goes to every process of a terminal: nothing is lost, and no traceback is shown."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

EPOCHS = 60


def one_training(tiny: dict[str, Any]) -> dict[str, Any]:
    """The tiny study with one run, which keeps weights early."""
    recipe = tiny["recipes"]["cyclical"]
    recipe["schedule"] |= {"epochs": EPOCHS, "cycles": 10}
    method = tiny["methods"]["checkpoint_ensemble_multi"] | {"cycles": 10, "checkpoints": 1}
    del tiny["distortions"]
    return tiny | {
        "datasets": {"phantom-acdc": tiny["datasets"]["phantom-acdc"]},
        "phantom": {"acdc_subjects": 10, "mnms_subjects_per_vendor": 1},
        "recipes": {"cyclical": recipe},
        "methods": {"checkpoint_ensemble": method},
        "test_sets": {"phantom-val": tiny["test_sets"]["phantom-val"]},
    }


class Terminal:
    """Snakemake in the foreground of a terminal, up to the training."""

    def __init__(self, repository: Path, directory: Path, study: Path) -> None:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--until", "train"]
        command += ["--snakefile", str(repository / "Snakefile"), "--directory", str(directory)]
        command += ["--config", f"study={study}"]
        environment = os.environ | {
            "PYTHONPATH": str(repository / "src"),
            "CARDIOUQ_DEVICE": "cpu",
            "OMP_NUM_THREADS": "1",
        }
        self.output = directory / "output"
        with self.output.open("w", encoding="utf-8") as stream:
            self.snakemake = subprocess.Popen(
                command, env=environment, stdout=stream, stderr=stream, start_new_session=True
            )

    def wait_for(self, sign: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 300
        while not sign():
            assert self.snakemake.poll() is None, self.output.read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def wait_for_start_of(self, script: str) -> None:
        """A script begins by importing, which takes seconds."""
        self.wait_for(lambda: any(command.endswith(script) for command in self.scripts()))

    def scripts(self) -> Iterator[str]:
        for process in psutil.Process(self.snakemake.pid).children(recursive=True):
            with suppress(psutil.Error):  # it has just ended
                yield "".join(process.cmdline()[1:2])

    def press_ctrl_c(self) -> None:
        os.killpg(self.snakemake.pid, signal.SIGINT)

    def ended(self) -> str:
        self.snakemake.wait(timeout=300)
        return self.output.read_text(encoding="utf-8")


@pytest.mark.usefixtures("foreground")
def test_snakemake_stopped_by_ctrl_c_again_and_again_ends_with_the_same_bits(
    repository: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(one_training(tiny)), encoding="utf-8")
    training = tmp_path / "results" / "study" / "training"

    def started() -> Terminal:
        return Terminal(repository, tmp_path, study)

    def is_amid_the_run() -> bool:
        return (
            len(list(training.glob("*/.seed-0.unfinished/products/checkpoints/*.safetensors"))) >= 2
        )

    terminal = started()
    terminal.wait_for(
        lambda: "extended by additional config" in terminal.output.read_text(encoding="utf-8")
    )
    terminal.press_ctrl_c()  # while Snakemake reads the workflow
    assert "Traceback" not in terminal.ended()
    assert terminal.snakemake.returncode in (1, 130)

    for script in ("list_cases.py", "train.py"):
        terminal = started()
        terminal.wait_for_start_of(script)
        terminal.press_ctrl_c()
        text = terminal.ended()
        assert terminal.snakemake.returncode == 1, text
        assert "Traceback" not in text
    assert not list(training.glob("*/.seed-0.unfinished"))

    terminal = started()
    terminal.wait_for(is_amid_the_run)
    terminal.press_ctrl_c()
    time.sleep(0.05)
    terminal.press_ctrl_c()  # in a hurry
    text = terminal.ended()
    assert terminal.snakemake.returncode == 1, text
    assert "Traceback" not in text
    [log] = (tmp_path / "results" / "study" / "logs" / "train").rglob("*.log")
    [line] = log.read_text(encoding="utf-8").splitlines()
    kept = int(line.split("told to leave; ")[1].split(" epochs are kept")[0])
    assert kept >= 12  # the second checkpoint's, though the run is not a minute old
    assert not (tmp_path / ".snakemake" / "locks").exists()

    for name in ("interrupted", "undisturbed"):
        terminal = started()
        text = terminal.ended()
        assert terminal.snakemake.returncode == 0, text
        assert (f"resuming at epoch {kept} of {EPOCHS}" in text) == (name == "interrupted")
        [run] = training.glob("*/seed-0")
        run.rename(tmp_path / name)
    files = [
        sorted(
            path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.safetensors")
        )
        for name in ("interrupted", "undisturbed")
    ]
    assert files[0] == files[1]
    assert len(files[0]) == 10
    for file in (*files[0], Path("last_layer.npy")):
        assert (tmp_path / "interrupted" / file).read_bytes() == (
            tmp_path / "undisturbed" / file
        ).read_bytes()
    history = pd.read_csv(tmp_path / "interrupted" / "history.csv")
    assert history["epoch"].tolist() == list(range(EPOCHS))
