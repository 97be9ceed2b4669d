"""Snakemake in a fork of a process that has imported what takes long, and its jobs in forks too."""

import atexit
import multiprocessing
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, NoReturn

CONTEXT = multiprocessing.get_context("forkserver")
# what the Snakefile and jobs import, but for the package, which is to be that of its own checkout
PRELOADED = (
    "jinja2 jsonschema matplotlib.pyplot monai nibabel pandas requests scipy.ndimage "
    "scipy.optimize scipy.stats sklearn.covariance sklearn.ensemble sklearn.manifold "
    "snakemake.cli snakemake.script torch torch._dynamo yaml"
)
CONTEXT.set_forkserver_preload(PRELOADED.split())
# OpenMP reads it once, when torch is imported
os.environ["OMP_NUM_THREADS"] = "1"
MOST_AT_ONCE = 16
"""Jobs that may ask to be started at the same moment."""


def run_snakemake(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run Snakemake; stdout and stderr come back as one text."""
    with TemporaryDirectory() as folder:
        process = CONTEXT.Process(target=_run, args=(arguments, dict(environment), Path(folder)))
        process.start()
        process.join()
        text = (Path(folder) / "output").read_text(encoding="utf-8")
        return subprocess.CompletedProcess(arguments, process.exitcode or 0, text)


def _run(arguments: Sequence[str], environment: dict[str, str], folder: Path) -> None:
    from snakemake.cli import main

    os.environ.clear()
    os.environ.update(environment)
    with (folder / "output").open("ab") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    # Jobs are forks of a process without threads: what a thread locks stays locked in a fork.
    listener = Listener(str(folder / "jobs"), "AF_UNIX", backlog=MOST_AT_ONCE)
    starter = os.fork()
    if starter == 0:
        _start_jobs(listener)
    popen = partial(start, str(folder / "jobs"))
    # by its module's name, as `snakemake.shell` is a class
    sys.modules["snakemake.shell"].sp = SimpleNamespace(**vars(subprocess) | {"Popen": popen})
    try:
        main([*arguments])
    finally:
        os.kill(starter, signal.SIGKILL)
        atexit._run_exitfuncs()


class ForkedScript:
    """A job's Python script, with what `snakemake.shell` asks of a process."""

    stdout = None

    def __init__(self, jobs: str, arguments: list[str], environment: Mapping[str, str]) -> None:
        self.connection = Client(jobs, "AF_UNIX")
        self.connection.send((arguments, dict(environment), Path.cwd()))
        self.pid = self.connection.recv()
        self.returncode: int | None = None

    def wait(self) -> int:
        self.connection.send("waits")
        self.returncode = status = int(self.connection.recv())
        return status


def start(jobs: str, command: str, *, env: Mapping[str, str], **options: Any) -> Any:
    """Start a job's command: a Python script in a fork, anything else as `subprocess` does."""
    script = re.search(r"(?<=/src};  )\S*\bpython (.+\.py.*?) &\s", command, re.DOTALL)
    if script is None:
        return subprocess.Popen(command, env=env, **options)
    return ForkedScript(jobs, shlex.split(script[1]), env)


def _start_jobs(listener: Listener) -> NoReturn:
    """Start a job for everyone who connects, until killed."""
    while True:
        with listener.accept() as connection:
            if os.fork() == 0:
                _start_job(connection)


def _start_job(connection: Connection) -> NoReturn:
    """Start one job; its process number is sent, and how it ended."""
    arguments, environment, directory = connection.recv()
    job = os.fork()
    if job == 0:
        _run_script(arguments, environment, directory)
    connection.send(job)
    connection.recv()  # until then its number is that of a process, as that of a child of Popen's
    _, status = os.waitpid(job, 0)
    connection.send(os.waitstatus_to_exitcode(status))
    os._exit(0)


def _run_script(
    arguments: Sequence[str], environment: Mapping[str, str], directory: Path
) -> NoReturn:
    """Become a process that runs a script as Python would, but for what is imported already."""
    status: Any = 1
    try:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [*arguments]
        sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
        runpy.run_path(arguments[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else status is not None)
