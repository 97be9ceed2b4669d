"""The page of a benchmark: its parts, each a table of contestants, and what they ran on."""

import os
import platform
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

import torch
from rounds import Contestant, Turn, compete, quartiles
from tabulate import tabulate

from cardiouq.device.choose import precision
from cardiouq.device.environment import processor
from cardiouq.provenance.record import git_version

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "monai", "snakemake", "numpy", "medpy", "SimpleITK")
NNUNET_PACKAGES = ("nnunetv2", "batchgeneratorsv2")


@dataclass(frozen=True)
class Part:
    """What is compared, and how often."""

    title: str
    contestants: Sequence[Contestant]
    """Ours first."""
    rounds: int


def measured(parts: Iterable[Part]) -> Iterator[str]:
    """Paragraphs of each part: its title, its table, and who is missing from it."""
    for part in parts:
        print(part.title, file=sys.stderr, flush=True)
        turns, missing = compete(part.contestants, part.rounds)
        yield f"## {part.title}"
        yield _table(part, turns)
        for name, why in missing.items():
            yield f"{name}: not measured. {why}"


def write_page(name: str, title: str, command: str, paragraphs: Iterable[str]) -> None:
    """Write a page of `docs/results`: the command that made it, when, on what; and the rest."""
    page = ROOT / "docs/results" / name
    text = "\n\n".join([f"# {title}", f"    {command}", _machine(), *paragraphs])
    page.write_text(text + "\n", encoding="utf-8")
    print(page)


def _table(part: Part, turns: Mapping[str, Sequence[Turn]]) -> str:
    """Time and memory of each contestant, and its time over that of the first."""
    first = part.contestants[0].name
    rows = []
    for name, found in turns.items():
        low, middle, high = quartiles(found, turns[first])
        rows.append(
            {
                "": name,
                "CPU seconds a turn": f"{statistics.median(turn.seconds for turn in found):.3g}",
                f"time over that of {first}": f"{middle:.2f} [{low:.2f}, {high:.2f}]",
                "memory (MiB)": f"{max(turn.mebibytes for turn in found):.0f}",
            }
        )
    return tabulate(rows, "keys", tablefmt="pipe", disable_numparse=True)


def _machine() -> str:
    """When and on which machine it was measured, with which versions, and how."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {metadata.version(name)}" for name in PACKAGES]
    machine = f"one of {os.cpu_count()} cores, {processor()}"
    return f"""Made on {date.today()} at commit `{git_version(ROOT)}` on {machine}, in
{precision(torch.device("cpu"))} where ours may choose; {", ".join(versions + _nnunet_versions())}.

The contestants of a part take turns, each in a process of its own with one thread. Times are CPU
time; ratios are of the same round, median and quartiles of all rounds after one to warm up. Memory
is the most that a contestant's process had beyond what it had before its first turn, or, of
commands, all that they had with their children."""


def _nnunet_versions() -> list[str]:
    """Versions of the peer, which lies in a folder of its own."""
    folder = os.environ.get("NNUNET")
    found = metadata.distributions(path=[folder]) if folder else ()
    versions = {one.metadata["Name"].replace("-", "_"): one.version for one in found}
    return [f"{name} {versions[name]}" for name in NNUNET_PACKAGES if name in versions]
