"""Scans segmented by a model that nnU-Net trained: `cardiouq apply` beside nnU-Net's own command.

Both predict three scans with all folds and mirror images on one core, from start to end of the
process. nnU-Net writes segmentations of the folds' mean logits, ours also probabilities, maps of
doubt, numbers and a page. The model lies in the folder that CARDIOUQ_NNUNET_ROOT names, the scans
in that of CARDIOUQ_ACDC_ROOT. Writes docs/results/applying-benchmark.md; the functions are
contestants of `rounds.py`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from nnunet import module_of_nnunet
from pages import Part, measured, write_page
from rounds import Contestant

MODEL = "Dataset027_ACDC/nnUNetTrainer__nnUNetPlans__2d"
SCANS = [f"training/patient{n:03}/patient{n:03}_frame01.nii.gz" for n in (5, 25, 45)]
SECONDS = 0.1
"""Between two looks at a command's memory."""
PARTS = [
    Part(
        "Three scans, two folds, mirrored",
        [
            Contestant("cardiouq apply", "applying:ours"),
            Contestant("nnU-Net's command as it comes", "applying:theirs", ["3"]),
            Contestant("nnU-Net's, one process to read and to write", "applying:theirs", ["1"]),
        ],
        rounds=5,
    )
]
ABOUT = """A turn is the whole command, from the start of the process to its end. nnU-Net writes a
segmentation of each scan; cardiouq apply also probabilities, maps of doubt, numbers and a page."""
COMMAND = "make bench-apply NNUNET=FOLDER CARDIOUQ_NNUNET_ROOT=FOLDER CARDIOUQ_ACDC_ROOT=FOLDER"
THEIRS = "from nnunetv2.inference.predict_from_raw_data import predict_entry_point_modelfolder as f"


def ours() -> Callable[[], float]:
    """`cardiouq apply`."""
    model, scans, output = _prepared()
    command = ["-m", "cardiouq.cli", "apply", str(model), str(scans), str(output)]
    return lambda: _peak_of([*command, "--device", "cpu"], output, {})


def theirs(processes: str) -> Callable[[], float]:
    """`nnUNetv2_predict_from_modelfolder`, with so many processes that read and write beside it."""
    module_of_nnunet("inference.predict_from_raw_data")
    model, scans, output = _prepared()
    options: dict[str, object] = {"-i": scans, "-o": output, "-m": model, "-device": "cpu"}
    options |= {"-npp": processes, "-nps": processes}
    words = [str(word) for option in options.items() for word in option]
    environment = {"PYTHONPATH": os.pathsep.join([os.environ["NNUNET"], *sys.path])}
    command = ["-c", f"{THEIRS}; f()", *words, "-f", "0", "1", "--disable_progress_bar"]
    return lambda: _peak_of(command, output, environment)


def _prepared() -> tuple[Path, Path, Path]:
    """Folders of the model, of the scans as nnU-Net names them, and for what comes of them."""
    model, *found = _inputs()
    scratch = Path(tempfile.mkdtemp())
    (scratch / "scans").mkdir()
    for scan in found:
        (scratch / "scans" / scan.name.replace(".nii", "_0000.nii")).symlink_to(scan)
    return model, scratch / "scans", scratch / "output"


def _inputs() -> list[Path]:
    """The model's folder and the scans; ends the process, and says why, if one is missing."""
    asked = [("CARDIOUQ_NNUNET_ROOT", MODEL), *(("CARDIOUQ_ACDC_ROOT", scan) for scan in SCANS)]
    for variable, name in asked:
        if not (root := os.environ.get(variable)) or not Path(root, name).exists():
            sys.exit(
                f"ERROR: {variable} is {root or 'not set'}; expected the folder that holds {name}. "
                f"Give it: {COMMAND}"
            )
    return [Path(os.environ[variable], name) for variable, name in asked]


def _peak_of(command: Sequence[str], output: Path, environment: Mapping[str, str]) -> float:
    """Run Python, and return the most memory that it and its children had together, in MiB."""
    shutil.rmtree(output, ignore_errors=True)
    peak = 0
    with subprocess.Popen([sys.executable, *command], env=os.environ | environment) as process:
        while process.poll() is None:
            with suppress(psutil.Error):
                started = psutil.Process(process.pid)
                each = [started, *started.children(recursive=True)]
                peak = max(peak, sum(one.memory_full_info().pss for one in each))
            time.sleep(SECONDS)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return peak / 2**20


if __name__ == "__main__":
    _inputs()
    write_page("applying-benchmark.md", "Models of nnU-Net", COMMAND, [ABOUT, *measured(PARTS)])
