"""One GPU for each job: a lock on a file for each device, freed however its holder dies.

Imports no torch: a GPU has to be locked before CUDA reads CUDA_VISIBLE_DEVICES.
"""

import fcntl
import functools
import io
import logging
import os
import re
import stat
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from urllib.parse import quote

from cardiouq.errors import CardiouqError
from cardiouq.files.locks import try_lock

log = logging.getLogger(__name__)

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
SHARE_VARIABLE = "CARDIOUQ_GPU_SHARE"
DEVICES = Path("/dev")
"""Where NVIDIA's driver has a file for each GPU."""
LOCKS = Path(f"/tmp/cardiouq-gpus-{os.getuid()}")
"""Folder of a user's locks; $TMPDIR and $XDG_RUNTIME_DIR differ between sessions of a user."""
SECONDS_BETWEEN_TRIES = 2.0
SECONDS_BETWEEN_MESSAGES = 60.0


@dataclass(frozen=True)
class LockedGpu:
    """A GPU, as CUDA_VISIBLE_DEVICES names it, and the locked files that make it this process's."""

    gpu: str
    locked: tuple[io.FileIO, ...]

    def release(self) -> None:
        """Let other processes have the GPU."""
        for file in self.locked:
            file.close()


@functools.cache  # one GPU for the life of the process
def acquire_gpu() -> LockedGpu | None:
    """Lock a GPU and hide the others from CUDA; None if there is none."""
    gpus = visible_gpus()
    if not gpus:
        return None
    locked = lock_gpu(gpus, jobs_per_gpu())
    os.environ[VISIBLE_VARIABLE] = locked.gpu
    log.info("on GPU %s", locked.gpu)
    return locked


def has_gpus() -> bool:
    """Tell whether the driver has a GPU, and this process may use it."""
    return any(DEVICES.glob("nvidia[0-9]*")) and bool(visible_gpus())


def visible_gpus() -> list[str]:
    """List the GPUs that this process may use, by UUID where nvidia-smi tells it.

    An index is no identity: SLURM's jobs may each call their only GPU 0, whichever it is. Indices
    count as nvidia-smi does.
    """
    known = parse_listing(_listing())
    uuids = [uuid for instances in known for uuid in instances]
    named = os.environ.get(VISIBLE_VARIABLE)
    if named is None:
        return uuids

    def identity(name: str) -> str:
        if name.isdigit():
            return known[int(name)][0] if int(name) < len(known) else name
        matching = [uuid for uuid in uuids if uuid.startswith(name)]  # CUDA takes shortened UUIDs
        return matching[0] if len(matching) == 1 else name

    # CUDA too ends the list at the first name that is none, such as -1
    names = takewhile(re.compile(r"\d+|(GPU|MIG)-.+").fullmatch, map(str.strip, named.split(",")))
    return list(dict.fromkeys(identity(name) for name in names))


def parse_listing(listing: str) -> list[list[str]]:
    """UUID of each GPU in the output of `nvidia-smi -L`, or those of its MIG instances."""
    gpus: list[list[str]] = []
    for kind, uuid in re.findall(r"^\s*(GPU|MIG) .*\(UUID: (\S+)\)", listing, re.MULTILINE):
        if kind == "GPU":
            gpus.append([uuid])
        else:
            gpus[-1].append(uuid)
    return [gpu[1:] or gpu for gpu in gpus]


def _listing() -> str:
    try:
        command = ["nvidia-smi", "-L"]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def jobs_per_gpu() -> int:
    """Number of jobs on a GPU: 1, unless the user says that jobs may share one."""
    text = os.environ.get(SHARE_VARIABLE) or "1"
    if not re.fullmatch("[1-9][0-9]*", text):
        raise CardiouqError(
            f"{SHARE_VARIABLE} is '{text}', not how many jobs may share a GPU: set it to 1 or more"
        )
    return int(text)


def lock_gpu(gpus: Sequence[str], jobs: int = 1) -> LockedGpu:
    """Wait for a GPU on which fewer than `jobs` jobs run, and take a slot on it.

    A job that does not share also waits for those that do, and they for it.
    """
    folder = locks_folder()
    began = next_message = time.monotonic()
    while True:
        for slot in range(jobs):  # a second job comes to a GPU when each has one
            for gpu in gpus:
                locked = _try(gpu, slot, jobs > 1, folder)
                if locked is not None:
                    # a forked process would keep the locks alive; an executed program does not
                    os.register_at_fork(after_in_child=locked.release)
                    return locked
        now = time.monotonic()
        if now >= next_message:
            text = "waiting for a GPU, %.0f min so far; taken: %s; locks: %s"
            log.info(text, (now - began) / 60, ", ".join(gpus), folder)
            next_message = now + SECONDS_BETWEEN_MESSAGES
        time.sleep(SECONDS_BETWEEN_TRIES)


def locks_folder() -> Path:
    """Folder of the locks of this user on this host; it is made if it is not there."""
    try:
        LOCKS.mkdir(mode=0o700)
    except FileExistsError:
        status = LOCKS.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise CardiouqError(
                f"{LOCKS}: expected a folder of your own, for the locks that say which GPUs are "
                "taken; remove it or have it removed"
            ) from None
        LOCKS.chmod(0o700)
    return LOCKS


def _try(gpu: str, slot: int, shared: bool, folder: Path) -> LockedGpu | None:
    name = quote(gpu, safe="")  # a MIG instance's may have slashes
    device = try_lock(folder / name, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    if device is None:
        return None
    job = try_lock(folder / f"{name}.{slot}", fcntl.LOCK_EX)
    if job is None:
        device.close()
        return None
    return LockedGpu(gpu, (device, job))
