"""What jobs need of the machine they run on. Imports no torch."""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cardiouq.files import expanded
from cardiouq.structures import VARIABLE as STRUCTURES_VARIABLE

DEVICE_VARIABLE = "CARDIOUQ_DEVICE"
DATA_ROOTS = ("acdc_root", "mnms_root", "ukbb_root")
KEEP_FREED_MEMORY = str(16 * 1024**3)


def prepare_environment(device: str, structures: Sequence[str]) -> None:
    """Set what every job inherits from Snakemake's process.

    The device is not a parameter of a rule, so that another device retrains nothing; the study's
    structures change the keys of the runs.

    `python` becomes the interpreter that runs Snakemake, whether its environment is activated or
    not. The allocator keeps freed memory: a training step on a CPU is up to 1.5 times faster when
    its pages are not given back and faulted in again. Both have to be set before Python starts.
    """
    os.environ[DEVICE_VARIABLE] = device
    os.environ[STRUCTURES_VARIABLE] = ",".join(structures)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for variable in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        os.environ.setdefault(variable, KEEP_FREED_MEMORY)


def as_typed(arguments: Iterable[str]) -> dict[str, str]:
    """What the command line's `--config key=text` says, as every key is text: Snakemake takes 2022
    and 1e3 for numbers, and leaves out what follows a blank and `#`."""
    typed = dict(argument.split("=", 1) for argument in arguments)
    return {key: re.sub(r"^(['\"])(.*)\1$", r"\2", text, flags=re.S) for key, text in typed.items()}


def data_roots(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with empty data roots taken from CARDIOUQ_ACDC_ROOT and so on, and `~` written out.

    Raises:
        CardiouqError: for the home of a user that this machine does not know.
    """
    roots = {
        key: config[key] or os.environ.get(f"CARDIOUQ_{key.upper()}", "")
        for key in DATA_ROOTS
        if key in config
    }
    texts = {key: str(expanded(root)) for key, root in roots.items() if root and root == str(root)}
    return {**config, **roots, **texts}


def gpus_per_job(device: str) -> int:
    """GPUs that a training or prediction asks of Snakemake: 1 or 0. Which one, it claims itself."""
    return int(device == "cuda" or (device == "auto" and any(Path("/dev").glob("nvidia[0-9]*"))))
