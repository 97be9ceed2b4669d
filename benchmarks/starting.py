"""The start of Snakemake: a study's dry run beside that of a bare Snakefile with as many jobs.

The functions are contestants of `rounds.py`.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
BARE = """
rule all:
    input: expand("{{number}}.txt", number=range({jobs}))

rule one:
    output: "{{number}}.txt"
    shell: "touch {{output}}"
"""


def study(name: str) -> Callable[[], str]:
    """`snakemake -n` of a study."""
    snakefile, scratch = str(ROOT / "Snakefile"), tempfile.mkdtemp()
    return lambda: dry_run(
        "--snakefile", snakefile, "--directory", scratch, "--config", f"study={name}"
    )


def bare(name: str) -> Callable[[], str]:
    """`snakemake -n` of a Snakefile with as many jobs as a study has, which do nothing."""
    found = re.search(r"^total\s+(\d+)", study(name)(), re.MULTILINE)
    assert found
    scratch = Path(tempfile.mkdtemp())
    snakefile = scratch / "Snakefile"
    snakefile.write_text(BARE.format(jobs=int(found[1]) - 1), encoding="utf-8")
    return lambda: dry_run("--snakefile", str(snakefile), "--directory", str(scratch))


def dry_run(*options: str) -> str:
    """What Snakemake prints."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-n",
        "--cores",
        "1",
        "--quiet",
        "rules",
        *options,
    ]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
