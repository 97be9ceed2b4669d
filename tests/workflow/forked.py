"""Snakemake in a fork of a process that has imported what takes long, to learn what it plans."""

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

CONTEXT = multiprocessing.get_context("forkserver")
# what the Snakefile imports, but for the package, which is to be that of its own checkout
PRELOADED = (
    "jinja2 jsonschema pandas requests scipy.ndimage scipy.optimize snakemake.cli torch yaml"
)
CONTEXT.set_forkserver_preload(PRELOADED.split())


def run_snakemake(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> tuple[int | None, str]:
    """Run Snakemake; returns its exit status, and stdout and stderr as one text."""
    with NamedTemporaryFile() as output:
        process = CONTEXT.Process(
            target=_run, args=(arguments, dict(environment), Path(output.name))
        )
        process.start()
        process.join()
        return process.exitcode, output.read().decode()


def _run(arguments: Sequence[str], environment: dict[str, str], output: Path) -> None:
    from snakemake.cli import main

    os.environ.clear()
    os.environ.update(environment)
    with output.open("wb") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    main([*arguments])
