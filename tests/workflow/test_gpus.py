"""Four trainings under Snakemake on a machine that claims to have two GPUs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# a training's claim without its torch: it writes down when it asks for a GPU, has it and ends
TRAINING = """
import os, sys, time
from pathlib import Path
from cardiouq.device import gpus

def note(event, gpu="-"):
    with open("events", "a") as stream:
        stream.write(f"{event} {sys.argv[1]} {os.getpid()} {gpu} {time.monotonic()}\\n")

gpus.LOCKS, gpus.SECONDS_BETWEEN_TRIES = Path("locks").resolve(), 0.05
gpus._listing = lambda: ""
note("asks")
gpu = gpus.acquire_gpu().gpu
assert gpu == os.environ["CUDA_VISIBLE_DEVICES"]
note("starts", gpu)
while Path("hold").exists():
    time.sleep(0.02)
note("ends", gpu)
"""
SNAKEFILE = """
rule all:
    input: expand("{job}.done", job=range(4))

rule train:
    output: "{job}.done"
    # a second try comes late, as locks know no order and a busy machine may hold up those that wait
    resources:
        gpu=1,
        late=lambda wildcards, attempt: 3 * (attempt - 1)
    shell: "sleep {resources.late}; python training.py {wildcards.job} && touch {output}"
"""


@dataclass(frozen=True)
class Event:
    kind: str
    job: str
    process: int
    gpu: str
    time: float


class Machine:
    """A folder in which Snakemake runs the four."""

    def __init__(self, folder: Path, profile: Path) -> None:
        self.folder, self.profile = folder, profile
        (folder / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
        (folder / "training.py").write_text(TRAINING, encoding="utf-8")
        (folder / "events").touch()

    @contextmanager
    def running(self, *options: str, **variables: str) -> Iterator[None]:
        command = [sys.executable, "-m", "snakemake", "--cores", "4", *options]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CARDIOUQ_")}
        environment |= {"PATH": path, "CUDA_VISIBLE_DEVICES": "0,1"} | variables
        with (self.folder / "output").open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=output, stderr=output
            )
            try:
                yield
                assert process.wait(timeout=120) == 0, (self.folder / "output").read_text(
                    encoding="utf-8"
                )
            finally:
                (self.folder / "hold").unlink(missing_ok=True)  # no training outlives the test
                process.wait(timeout=120)

    def events(self, kind: str) -> list[Event]:
        lines = [
            line.split()
            for line in (self.folder / "events").read_text(encoding="utf-8").splitlines()
        ]
        events = [Event(a, b, int(c), d, float(e)) for a, b, c, d, e in lines]
        return [event for event in events if event.kind == kind]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, (self.folder / "output").read_text(encoding="utf-8")
            time.sleep(0.02)

    def most_at_once(self, since: str, killed: dict[int, float], gpu: str = "") -> int:
        """Most trainings between an event and their end at one time, on one GPU or all."""
        ends = {event.process: event.time for event in self.events("ends")} | killed
        begins = [event for event in self.events(since) if gpu in ("", event.gpu)]
        return max(
            sum(other.time <= event.time < ends[other.process] for other in begins)
            for event in begins
        )


@pytest.fixture
def machine_of_two(tmp_path: Path, repository: Path) -> Machine:
    return Machine(tmp_path, repository / "profiles" / "default")


def test_lock_alone_keeps_trainings_apart_and_a_killed_ones_gpu_is_taken_again(
    machine_of_two: Machine,
) -> None:
    machine = machine_of_two
    (machine.folder / "hold").touch()
    with machine.running("--retries", "1"):
        machine.wait_for(lambda: len(machine.events("asks")) == 4)
        machine.wait_for(lambda: len(machine.events("starts")) == 2)
        time.sleep(0.5)  # ten tries
        first, second = machine.events("starts")
        assert {first.gpu, second.gpu} == {"0", "1"}

        killed = time.monotonic()
        os.kill(first.process, signal.SIGKILL)
        machine.wait_for(lambda: len(machine.events("starts")) == 3)
        third = machine.events("starts")[2]
        assert third.gpu == first.gpu
        assert third.job not in (first.job, second.job)  # one that was waiting
        assert not machine.events("ends")
        (machine.folder / "hold").unlink()
    assert len(machine.events("starts")) == 5  # the killed one again
    assert {event.job for event in machine.events("ends")} == set("0123")
    assert machine.most_at_once("starts", {first.process: killed}) == 2
    for gpu in "01":
        assert machine.most_at_once("starts", {first.process: killed}, gpu) == 1


@pytest.mark.parametrize("options, expected", [((), 1), (("--resources", "gpu=2"), 2)])
def test_resources_limit_what_snakemake_starts(
    options: tuple[str, ...], expected: int, machine_of_two: Machine
) -> None:
    machine = machine_of_two
    (machine.folder / "hold").touch()
    with machine.running("--workflow-profile", str(machine.profile), *options):
        machine.wait_for(lambda: len(machine.events("starts")) == expected)
        time.sleep(0.5)  # time to start one too many
        (machine.folder / "hold").unlink()
    assert {event.job for event in machine.events("ends")} == set("0123")
    assert machine.most_at_once("asks", {}) == expected
    assert machine.most_at_once("starts", {}) == expected
    for gpu in {event.gpu for event in machine.events("starts")}:
        assert machine.most_at_once("starts", {}, gpu) == 1


def test_trainings_share_when_told_to(machine_of_two: Machine) -> None:
    machine = machine_of_two
    (machine.folder / "hold").touch()
    with machine.running(CARDIOUQ_GPU_SHARE="2"):
        machine.wait_for(lambda: len(machine.events("starts")) == 4)
        (machine.folder / "hold").unlink()
    assert sorted(event.gpu for event in machine.events("starts")) == ["0", "0", "1", "1"]
