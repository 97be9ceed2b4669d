"""A reduced study whose processes are killed and whose disk fills up or turns read-only, at every
stage: after a rerun everything is as in an undisturbed run."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

from cardiouq.files.writing import HASHES_FILE, read_hashes
from cardiouq.provenance.describe import MEASURED, content_hash
from cardiouq.provenance.record import sha256
from cardiouq.study.study import NOTE
from tests.paths import ROOT, TINY

takes_long = pytest.mark.skipif(
    not os.environ.get("CARDIOUQ_FAULTS"), reason="takes long; CARDIOUQ_FAULTS=1 runs it"
)

STAGES = {
    script: stage
    for stage in ("data", "training", "prediction", "evaluation")
    for script in re.findall(
        r"scripts/(\w+)\.py", (ROOT / f"workflow/rules/{stage}.smk").read_text(encoding="utf-8")
    )
}
"""Script -> the file of rules that it is run by; every other script is of reporting."""
KILLS = {
    "make_phantom": 3,
    "preprocess": 3,
    "distort": 2,
    "train": 9,
    "predict": 8,
    "evaluate": 4,
    "print_table": 3,
    "figure_distortion_boxes": 2,
}
"""Script -> how often a process that runs it is killed; every other script once."""
AMID = {
    "training": ".{}.unfinished/resume.safetensors",
    "prediction": "{}/.sums-*/*_labels.bin",
}
"""What a job writes amid its work, beside or in its `--output`."""
OF_TIMES = (
    "cost.md",
    "cost.tex",
    "cost.html",
    "quality_cost.png",
    "quality_cost.pdf",
    "provenance.json",
    "provenance.html",
    "report.html",
)
"""Files that show times."""
VICTIMS = ("job", "all", "Snakemake")
"""Who is killed: a job alone, Snakemake and all its jobs, or Snakemake alone."""
PATIENCE = 600
"""Seconds that no wait should take on any machine."""
BETWEEN_LISTINGS = 0.05
"""Seconds between two listings of all jobs, which take a processor's time; no job is as short."""


def reduced(tiny: Mapping[str, Any]) -> dict[str, Any]:
    """The tiny study with the fewest methods and scans that still need every rule; all but the
    figure of posteriors, as with their methods every start of Snakemake imports torch."""
    recipes = ("polynomial", "cyclical")
    methods = ("vanilla", "checkpoint_ensemble_multi")
    test_sets = tiny["test_sets"]
    return {
        **tiny,
        "phantom": {"acdc_subjects": 10, "mnms_subjects_per_vendor": 1},
        "recipes": {name: tiny["recipes"][name] for name in recipes},
        "methods": {name: tiny["methods"][name] for name in methods}
        | {
            "checkpoint_ensemble_multi": tiny["methods"]["checkpoint_ensemble_multi"]
            | {"cycles": 2, "checkpoints": 2}
        },
        "test_sets": {
            "phantom-A": test_sets["phantom-A"] | {"domain": "ID", "published": "acdc-val"},
            "phantom-B": test_sets["phantom-B"],
        },
        "distortions": {"test_set": "phantom-A", "subjects": 1, "kinds": {"noise": [0.05]}},
        "evaluation": tiny["evaluation"] | {"bootstrap": {"resamples": 20, "confidence": 0.95}},
    }


@dataclass(frozen=True)
class Job:
    """A process that runs a rule's script."""

    process: psutil.Process
    script: str
    output: Path
    """Of a training or prediction."""

    @property
    def stage(self) -> str:
        return STAGES.get(self.script, "reporting")

    @property
    def is_alive(self) -> bool:
        try:
            return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    @property
    def work(self) -> float:
        """Seconds of a processor that it has taken: how far it is, however busy the machine."""
        try:
            times = self.process.cpu_times()
        except psutil.NoSuchProcess:
            return 0
        return times.user + times.system

    def kill(self) -> None:
        self.process.kill()
        while self.is_alive:
            time.sleep(0.001)

    def is_amid_its_work(self) -> bool:
        pattern = AMID[self.stage].format(self.output.name)
        try:
            began = self.process.create_time()
            return any(path.stat().st_mtime > began for path in self.output.parent.glob(pattern))
        except (OSError, psutil.NoSuchProcess):  # renamed or ended meanwhile
            return False


@dataclass
class Session:
    """One call of Snakemake, in a process group of its own."""

    directory: Path
    process: "subprocess.Popen[str]"
    output: Path

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def processes(self) -> list[psutil.Process]:
        try:
            main = psutil.Process(self.process.pid)
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def jobs(self) -> list[Job]:
        """Those that run now, the oldest first."""
        found = []
        for process in self.processes()[1:]:
            try:
                command = process.cmdline()
            except psutil.Error:  # it has just ended
                continue
            # `python .../train.py` or `python .../tmpabcdefgh.evaluate.py`
            if len(command) > 1 and "python" in command[0] and command[1].endswith(".py"):
                script = Path(command[1]).stem.rpartition(".")[2]
                output = command[command.index("--output") + 1] if "--output" in command else ""
                found.append(Job(process, script, self.directory / output))
        return found

    def ended(self) -> str:
        """Wait for the end; returns what was printed."""
        self.process.wait(timeout=PATIENCE)
        return self.output.read_text(encoding="utf-8")

    def kill(self) -> None:
        """Snakemake and all its jobs."""
        processes = self.processes()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        psutil.wait_procs(processes, timeout=PATIENCE)

    def orphan(self) -> list[psutil.Process]:
        """Kill Snakemake alone; returns its jobs, which run on."""
        processes = self.processes()[1:]
        self.process.kill()
        self.process.wait()
        return processes


@dataclass(frozen=True)
class Machine:
    """A copy of the repository, in which trainings keep their state after every epoch, and a
    study."""

    repository: Path
    study: Path
    sessions: list[Session] = field(default_factory=list)

    def start(self, directory: Path, *options: str) -> Session:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *options]
        command += ["--snakefile", str(self.repository / "Snakefile")]
        command += ["--directory", str(directory), "--config", f"study={self.study}"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CARDIOUQ_")}
        environment |= {"PYTHONPATH": str(self.repository / "src"), "OMP_NUM_THREADS": "1"}
        output = self.repository.parent / "output"  # not on the disk that fills up
        with output.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                command,
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                start_new_session=True,
            )
        self.sessions.append(Session(directory, process, output))
        return self.sessions[-1]

    def results(self, directory: Path) -> Path:
        return directory / "results" / self.study.stem


@dataclass(frozen=True)
class Undisturbed:
    directory: Path
    work: Mapping[str, float]
    """Script -> the most work that it took."""


@pytest.fixture(scope="module")
def machine(
    tmp_path_factory: pytest.TempPathFactory,
    copy_repository: Callable[[Path], Path],
) -> Iterator[Machine]:
    home = tmp_path_factory.mktemp("faults")
    copy = copy_repository(home / "repository")
    training = copy / "src" / "cardiouq" / "training" / "trajectory.py"
    text = training.read_text(encoding="utf-8")
    assert "SECONDS_BETWEEN_STATES = 60\n" in text
    training.write_text(
        text.replace("SECONDS_BETWEEN_STATES = 60\n", "SECONDS_BETWEEN_STATES = -1\n"),
        encoding="utf-8",
    )
    tiny = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    (home / "faults.yaml").write_text(yaml.safe_dump(reduced(tiny)), encoding="utf-8")
    machine = Machine(copy, home / "faults.yaml")
    yield machine
    for session in machine.sessions:  # of a test that failed
        if session.runs:
            session.kill()


@pytest.fixture(scope="module")
def undisturbed(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    directory = tmp_path_factory.mktemp("undisturbed")
    session = machine.start(directory)
    work: dict[str, float] = {}
    while session.runs:
        for job in session.jobs():
            work[job.script] = max(work.get(job.script, 0), job.work)
        time.sleep(BETWEEN_LISTINGS)
    text = session.ended()
    assert session.process.returncode == 0, text
    return Undisturbed(directory, work)


def content(path: Path) -> Any:
    """Of a file, without what differs between two undisturbed runs."""
    if "logs" in path.parts or path.name in (*OF_TIMES, NOTE):
        return None
    if path.name == HASHES_FILE or path.suffix == ".sha256":
        hashes = {name: sha256((path.parent / name).read_bytes()) for name in read_hashes(path)}
        return list(hashes), hashes == read_hashes(path)
    return content_hash(path) if path.name in MEASURED else sha256(path.read_bytes())


def files(results: Path) -> set[str]:
    """All but Snakemake's own, which it leaves out if it cannot write when a job has ended, and the
    lock of one that was killed, which goes with the next one that has jobs."""
    return {
        str(path.relative_to(results))
        for path in results.rglob("*")
        if path.name not in (".snakemake_timestamp", ".lock") and "benchmarks" not in path.parts
    }


def assert_same(results: Path, expected: Path) -> None:
    """The same files and folders with the same bytes, hidden ones too: nothing is left behind."""
    names = files(expected)
    assert sorted(files(results) ^ names) == []
    pairs = [(results / name, expected / name) for name in sorted(names)]
    differing = [str(a) for a, b in pairs if b.is_file() and content(a) != content(b)]
    assert differing == []


# Killed processes


def draw_moment(job: Job, work: float, left: int, rng: Random) -> Callable[[], bool]:
    """Whether a random moment of a job has come: after some of its work, amid it or at its end.

    The few trainings and predictions come to their end once all other kills of them are done.
    """
    some = rng.random() * work
    if job.stage in AMID:
        kind = rng.choice(["amid", "amid", "some work"]) if left > 1 else "end"
    else:
        kind = rng.choice(["some work"] * 3 + ["end"])
    if kind == "amid":
        return job.is_amid_its_work
    return (lambda: False) if kind == "end" else (lambda: job.work > some)


def moments_to_kill(
    session: Session, left: Mapping[str, int], work: Mapping[str, float], rng: Random
) -> Iterator[tuple[Job, str]]:
    """Yields each job of a script that some kills are left for, at its moment, and whom to kill:
    it alone, Snakemake and all its jobs, or Snakemake alone."""
    moments: dict[Job, Callable[[], bool]] = {}
    next_listing = 0.0
    while session.runs:
        if time.monotonic() > next_listing:
            next_listing = time.monotonic() + BETWEEN_LISTINGS
            for job in session.jobs():
                if left[job.script] > 0 and job not in moments:
                    moments[job] = draw_moment(job, work[job.script], left[job.script], rng)
        for job, has_come in list(moments.items()):
            if job.is_alive and not has_come():
                continue
            del moments[job]
            # what Snakemake alone leaves behind comes to its end: first those that are resumed
            is_resumed = job.stage in AMID and left[job.script] > 2
            victim = rng.choice(VICTIMS[:2] if is_resumed else VICTIMS)
            if not job.is_alive:
                victim = "all"
                time.sleep(rng.random() * 0.2)  # Snakemake takes note of its end
            if session.runs and left[job.script] > 0:
                yield job, victim
            break
        time.sleep(0.01)


@takes_long
def test_killed_at_random_moments_the_study_ends_as_if_undisturbed(
    machine: Machine, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    rng = Random(2022)
    left = defaultdict(lambda: 1, KILLS)
    kills: Counter[tuple[str, str]] = Counter()
    orphans: list[psutil.Process] = []
    results, locks = machine.results(tmp_path), tmp_path / ".snakemake" / "locks"
    began, resumed = time.time(), 0
    again: list[str] = []
    for _ in range(100):
        session = machine.start(tmp_path, "--keep-going", *again)  # so other jobs are killed, too
        for job, victim in moments_to_kill(session, left, undisturbed.work, rng):
            if victim == "job":
                job.kill()
            elif victim == "all":
                session.kill()
            else:
                orphans += session.orphan()
            kills[job.stage, victim] += 1
            left[job.script] -= 1
        text = session.ended()
        resumed += text.count("resuming at epoch")
        if session.process.returncode == 0:
            # where a machine is slow in listing jobs, the few predictions end before their moments
            if sum(kills["prediction", victim] for victim in VICTIMS) >= 5:
                break
            # until it ends undisturbed: Snakemake removes predictions only after what needs them
            again = ["--forcerun", "predict"]
        if locks.exists():
            shutil.rmtree(locks)  # what `snakemake --unlock` does, in no time
    assert session.process.returncode == 0, text
    psutil.wait_procs(orphans, timeout=PATIENCE)
    table = pd.Series(kills).unstack(fill_value=0)
    print(f"SIGKILLs in {time.time() - began:.0f} s, by who was killed:\n{table}")
    print(f"trainings resumed: {resumed}")
    assert sum(kills.values()) >= 50
    assert (table.sum(axis=1).reindex(sorted({*STAGES.values(), "reporting"})) >= 5).all()
    assert resumed
    assert_same(results, machine.results(undisturbed.directory))


# A disk that is full or cannot be written to

OUR_TRACEBACK = r' File "\S*/(src/cardiouq|workflow/scripts|\.snakemake/scripts)/'
"""Snakemake has some of its own, where it cannot log its first line or remove an output."""


def mount(*options: str | Path) -> "subprocess.CompletedProcess[str]":
    command = ["mount", *map(str, options)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def unmount(folder: Path) -> None:
    assert subprocess.run(["umount", "--lazy", folder], check=False).returncode == 0


@pytest.fixture
def disk(undisturbed: Undisturbed, tmp_path: Path) -> Iterator[Path]:
    """A file system with room for twice the study."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    files = undisturbed.directory.rglob("*")
    size = 2 * sum(path.stat().st_size for path in files if path.is_file())
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr}")
    try:
        (folder / "results").mkdir()
        yield folder
    finally:
        unmount(folder)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Take all the room that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        for size in (2**20, 2**12):
            with suppress(OSError):
                while True:
                    stream.write(bytes(size))
    yield
    filler.unlink()


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Have the same files at `results`, where nothing can be written any more."""
    results = disk / "results"
    assert mount("--bind", results, results).returncode == 0
    assert mount("-o", "remount,bind,ro", results).returncode == 0
    yield
    unmount(results)


def wait_for(stage: str, session: Session) -> None:
    """Until a job of a stage has started."""
    while session.runs and all(job.stage != stage for job in session.jobs()):
        time.sleep(BETWEEN_LISTINGS)


@takes_long
def test_a_disk_that_fails_is_one_clear_error_and_no_result(
    machine: Machine, undisturbed: Undisturbed, disk: Path
) -> None:
    said = {full: "the disk is full", read_only: "the file system can only be read"}
    faults = [
        (full, ""),
        (read_only, ""),
        (full, "data"),
        (read_only, "data"),
        (full, "training"),
        (read_only, "training"),
        (full, "prediction"),
        (read_only, "evaluation"),
        (full, "reporting"),
    ]
    for fault, stage in faults:
        with ExitStack() as stack:
            if not stage:
                stack.enter_context(fault(disk))
            session = machine.start(disk)
            if stage:
                wait_for(stage, session)
                stack.enter_context(fault(disk))
            text = session.ended()
        assert session.process.returncode == 1, text
        assert re.search(rf"^ERROR: \S+: {said[fault]} \(", text, re.MULTILINE), text
        assert not re.search(OUR_TRACEBACK, text), text
    session = machine.start(disk)
    text = session.ended()
    assert session.process.returncode == 0, text
    assert_same(machine.results(disk), machine.results(undisturbed.directory))
