"""Contestants that take turns: each in a process of its own, on one core, timed by CPU time.

A process has the environment of its contestant from the start on, as an allocator's settings want.
As a program this module is such a process: `python rounds.py MODULE:FUNCTION ARGUMENT...` builds
what is timed, and runs it once for each line that comes in.
"""

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from cardiouq.device.environment import KEEP_FREED_MEMORY

ALLOCATOR = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), KEEP_FREED_MEMORY)
"""What Snakemake's process sets for every job of ours."""
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Contestant:
    """What is timed, and in which environment."""

    name: str
    function: str
    """`module:function`, which takes the arguments and returns a function to be timed."""
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class Turn(NamedTuple):
    """What one turn took."""

    seconds: float
    """CPU time, that of child processes too."""
    mebibytes: float
    """The most memory so far, beyond what the process had before its first turn; or the
    number that its work returns, as of a command that it starts."""


class Missing(Exception):
    """A contestant that is not installed; its text says how to get it."""


class Process:
    """The process of a contestant, which is ready for its first turn."""

    def __init__(self, contestant: Contestant) -> None:
        self._name = contestant.name
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (closed by `end`)
        inherited = {key: value for key, value in os.environ.items() if key not in ALLOCATOR}
        self._process = subprocess.Popen(
            [sys.executable, __file__, contestant.function, *contestant.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            encoding="utf-8",
            env=inherited | ONE_CORE | contestant.environment,
        )
        if missing := self._answer().get("missing"):
            self.end()
            raise Missing(missing)

    def turn(self) -> Turn:
        """Have the contestant do its work once."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return Turn(**self._answer())

    def end(self) -> None:
        """End the process."""
        self._process.communicate()
        self._said.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            sys.exit(f"{self._name} failed:\n{self._said.read()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def compete(
    contestants: Sequence[Contestant], rounds: int
) -> tuple[dict[str, list[Turn]], dict[str, str]]:
    """Turns of each contestant, in alternating rounds after one to warm up; who is missing, why."""
    processes, missing = {}, {}
    for contestant in contestants:
        try:
            processes[contestant.name] = Process(contestant)
            processes[contestant.name].turn()
        except Missing as reason:
            missing[contestant.name] = str(reason)
    turns: dict[str, list[Turn]] = {name: [] for name in processes}
    for _ in range(rounds):
        for name, process in processes.items():
            turns[name].append(process.turn())
    for process in processes.values():
        process.end()
    return turns, missing


def quartiles(theirs: Sequence[Turn], ours: Sequence[Turn]) -> list[float]:
    """Quartiles of their time over ours in the same round."""
    ratios = [their.seconds / our.seconds for their, our in zip(theirs, ours, strict=True)]
    return statistics.quantiles(ratios, n=4, method="inclusive")


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mebibytes(process: int | str = "self") -> float:
    """The most memory that a process has had; `ru_maxrss` would count its parent's, too."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    [kibibytes] = re.findall(r"VmHWM:\s+(\d+)", status)
    return int(kibibytes) / 1024


def main() -> None:
    """Be a contestant's process."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(**values: float | str) -> None:
        print(json.dumps(values), file=answers, flush=True)

    module, function = sys.argv[1].split(":")
    try:
        work = getattr(import_module(module), function)(*sys.argv[2:])
    except ImportError as error:
        answer(missing=str(error))
        return
    before = peak_mebibytes()
    answer()
    for _ in sys.stdin:
        start = cpu_seconds()
        found = work()
        seconds, grown = cpu_seconds() - start, peak_mebibytes() - before
        answer(seconds=seconds, mebibytes=found if isinstance(found, float) else grown)


if __name__ == "__main__":
    main()
