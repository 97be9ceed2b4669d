"""The environment that jobs inherit: device, structures, paths, memory. Imports no torch."""

import functools
import os
import platform
import re
import runpy
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cardiouq.device.gpus import has_gpus
from cardiouq.errors import CardiouqError
from cardiouq.files.writing import expand_home
from cardiouq.structures import STRUCTURES, STRUCTURES_VARIABLE, variable_of

DEVICE_VARIABLE = "CARDIOUQ_DEVICE"
COMPILE_VARIABLE = "CARDIOUQ_COMPILE"
DATA_ROOTS = ("acdc_root", "mnms_root", "ukbb_root")
KEEP_FREED_MEMORY = str(16 * 1024**3)
_PREPARED: dict[str, str] = {}
"""Variables of the study that this process's jobs inherit."""


def prepare_environment(
    device: str, structures: Sequence[str], *, compiles: str = "auto", in_conda: bool = False
) -> None:
    """Set what every job inherits from Snakemake's process.

    The device, and whether trainings are compiled for it, are no parameters of a rule, so that
    another one retrains nothing; the study's structures change the keys of the runs.

    Python imports the package from where this process did, whatever is installed, and names files
    in UTF-8, whatever the locale. `python` becomes the interpreter that runs Snakemake, whether its
    environment is activated or not; with `in_conda`, jobs have environments of their own. The
    allocator keeps freed memory: a training step on a CPU is up to 1.5 times faster when its pages
    are not given back and faulted in again. All have to be set before Python starts.

    Raises:
        CardiouqError: if the process works on a study with another device or other structures, or
            if the device is one that the PyTorch of the jobs cannot use.
    """
    if not in_conda:
        check_device(device)
    wanted = {
        DEVICE_VARIABLE: device,
        COMPILE_VARIABLE: compiles,
        STRUCTURES_VARIABLE: variable_of(structures),
    }
    for variable, value in wanted.items():
        if _PREPARED.setdefault(variable, value) != value:
            raise CardiouqError(
                f"{variable}: {value!r} of this study, {_PREPARED[variable]!r} of one that was "
                "imported before; import studies of the same device and structures, or run each "
                "on its own"
            )
    os.environ.update(wanted)
    os.environ["PYTHONUTF8"] = "1"
    _put_first("PYTHONPATH", Path(__file__).parents[2])
    if not in_conda:
        _put_first("PATH", Path(sys.executable).parent)
    for variable in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        os.environ.setdefault(variable, KEEP_FREED_MEMORY)


def _put_first(variable: str, folder: Path) -> None:
    """Have a search path begin with a folder."""
    folders = os.environ[variable].split(os.pathsep) if os.environ.get(variable) else []
    os.environ[variable] = os.pathsep.join(dict.fromkeys([str(folder), *folders]))


def check_checkout(root: Path) -> None:
    """Raise a CardiouqError if jobs would not find the code, for braces or colons in its path."""
    if found := [character for character in "{}:" if character in str(root)]:
        raise CardiouqError(
            f"{root}: the path of the Snakefile holds {' and '.join(found)}, by which jobs do not "
            "find the code; move the checkout to a path without"
        )


def check_device(device: str) -> None:
    """Raise a CardiouqError if the device is `cuda` and PyTorch is built without it."""
    if device == "cuda" and (build := _build_without_cuda()):
        raise CardiouqError(
            f"device: cuda, but {build} is built without CUDA; install a build with CUDA in its "
            "place (https://pytorch.org), or run with --config device=cpu"
        )


def _build_without_cuda() -> str:
    """Version and folder of the installed PyTorch if it is built without CUDA, else nothing.

    PyTorch's file of versions is read, as to import PyTorch takes seconds.
    """
    torch = find_spec("torch")
    if torch is None or torch.origin is None:
        return ""
    version = runpy.run_path(str(Path(torch.origin).with_name("version.py")))
    if version["cuda"] or version["hip"]:
        return ""
    return f"PyTorch {version['__version__']} in {Path(torch.origin).parent}"


def restart_in_utf8() -> None:
    """Start this program once more, in Python's UTF-8 mode, if the locale has another encoding.

    Names of files that stand in studies and tables are UTF-8, and so are jobs' (see above). Python
    takes the mode on at its start only.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def restart_with(structures: Sequence[str]) -> None:
    """Start this program once more, for these structures, if it works on others."""
    if tuple(structures) != STRUCTURES:
        os.environ[STRUCTURES_VARIABLE] = variable_of(structures)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def config_as_text(arguments: Iterable[str]) -> dict[str, str]:
    """Keys of `--config key=text` as text, where Snakemake reads 1e3 as a number, # as an end."""
    typed = dict(argument.split("=", 1) for argument in arguments)
    return {key: re.sub(r"^(['\"])(.*)\1$", r"\2", text, flags=re.S) for key, text in typed.items()}


def data_roots(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fill empty data roots of `config` from CARDIOUQ_ACDC_ROOT and so on, and expand `~`.

    Raises:
        CardiouqError: for the home of a user that this machine does not know.
    """
    roots = {
        key: config[key] or os.environ.get(f"CARDIOUQ_{key.upper()}", "")
        for key in DATA_ROOTS
        if key in config
    }
    texts = {
        key: str(expand_home(root)) for key, root in roots.items() if root and root == str(root)
    }
    return {**config, **roots, **texts}


def requested_device() -> str:
    """Device that Snakemake's process asks for: `auto` (also if it names none), `cpu` or `cuda`."""
    return os.environ.get(DEVICE_VARIABLE, "auto")


@functools.cache  # `nvidia-smi` may take a second
def gpus_per_job(device: str, *, in_conda: bool = False) -> int:
    """GPUs that a training or prediction asks of Snakemake, 1 or 0; it locks one itself.

    Of `auto` 1 where `choose_device` would find one, as far as is known without PyTorch; with
    `in_conda`, jobs have a PyTorch of their own.
    """
    finds_one = device == "auto" and has_gpus() and (in_conda or not _build_without_cuda())
    return int(device == "cuda" or finds_one)


def processor() -> str:
    """Model of the processor, as Linux tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
