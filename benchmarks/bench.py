"""Each part of the hot path beside a named peer, in one run: `make bench`.

Every part has contestants that take turns, each in a process of its own on one core. The ratio is
a peer's CPU time over ours in the same round. Writes docs/results/benchmarks.md.
"""

import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

import prediction
import sizes
import torch
from rounds import ALLOCATOR, Contestant, Turn, compete, quartiles
from tabulate import tabulate

from cardiouq.device.choose import precision
from cardiouq.device.environment import COMPILE_VARIABLE, processor
from cardiouq.provenance.record import git_version

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/results/benchmarks.md"
EAGER, COMPILED = ({**ALLOCATOR, COMPILE_VARIABLE: wanted} for wanted in ("never", "always"))
PACKAGES = ("torch", "monai", "snakemake", "numpy", "medpy", "SimpleITK")
NNUNET_PACKAGES = ("nnunetv2", "batchgeneratorsv2")


@dataclass(frozen=True)
class Part:
    """What is compared, and how often."""

    title: str
    contestants: Sequence[Contestant]
    """Ours first."""
    rounds: int


def parts(folders: Mapping[str, Path]) -> list[Part]:
    """All parts, with the folders of each size's cases."""
    found = []
    for size, folder in folders.items():
        arguments = (size, str(folder))

        def ours(name: str, function: str, environment: Mapping[str, str] = EAGER) -> Contestant:
            return Contestant(name, function, arguments, environment)  # noqa: B023 (used at once)

        rounds = 15 if size == "laptop" else 3
        found += [
            Part(
                f"Training, whole iterations, {size}",
                [
                    ours("ours, compiled", "training:iteration", COMPILED),
                    ours("ours", "training:iteration"),
                    ours("nnU-Net as it comes", "nnunet:iteration", {}),
                    ours("nnU-Net, allocator as ours", "nnunet:iteration", ALLOCATOR),
                ],
                rounds,
            ),
            Part(
                f"Loader and augmentation, {size}",
                [
                    ours("ours", "training:augmentation"),
                    ours("nnU-Net as it comes", "nnunet:augmentation", {}),
                ],
                15,
            ),
            Part(
                f"Prediction, {prediction.CHECKPOINTS} checkpoints of a volume, {size}",
                [
                    ours("ours", "prediction:ours"),
                    ours("plain loop with MONAI", "prediction:plain_loop", {}),
                ],
                3,
            ),
        ]
    for of in ("float32", "bfloat16"):
        contestants = [Contestant(f, f"dropout:{f}", (of,), ALLOCATOR) for f in ("ours", "pytorch")]
        found.append(Part(f"Dropout, {of}", contestants, 15))
    found.append(
        Part(
            "Three scans segmented by a model that nnU-Net trained, two folds, mirrored",
            [
                Contestant("cardiouq apply", "applying:ours", (), ALLOCATOR),
                Contestant("nnU-Net's command as it comes", "applying:theirs", ["3"]),
                Contestant(
                    "the same, with one process to read and to write", "applying:theirs", ["1"]
                ),
            ],
            5,
        )
    )
    found.append(
        Part(
            "Dice, ASSD, HD and HD95 of three structures in 10 x 256 x 216",
            [
                Contestant(library, "metrics:of_made_up_volume", (library,), ALLOCATOR)
                for library in ("ours", "MONAI", "medpy", "SimpleITK")
            ],
            15,
        )
    )
    found.append(
        Part(
            "A dry run of the demo's study",
            [
                Contestant("ours", "starting:study", ("demo",)),
                Contestant("Snakemake with as many jobs of one rule", "starting:bare", ("demo",)),
            ],
            7,
        )
    )
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folders = {size: Path(scratch, size, "cases") for size in sizes.PLANS}
        for size, folder in folders.items():
            folder.parent.mkdir()
            sizes.write_cases(size, folder)
            prediction.train_run(size, folder)
        sections = []
        for part in parts(folders):
            print(part.title, file=sys.stderr, flush=True)
            turns, missing = compete(part.contestants, part.rounds)
            sections.append(f"## {part.title}\n\n{table(part, turns)}")
            sections += [f"{name}: not measured. {why}" for name, why in missing.items()]
        notes = [
            f"Segmentations of {size}'s prediction and of the plain loop differ in "
            f"{prediction.differing_share(folder.parent):.2%} of the voxels that either labels."
            for size, folder in folders.items()
        ]
    PAGE.write_text("\n\n".join([heading(), *sections, *notes]) + "\n", encoding="utf-8")
    print(PAGE)


def table(part: Part, turns: Mapping[str, Sequence[Turn]]) -> str:
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


def heading() -> str:
    """What was measured, when, on which machine, with which versions."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {metadata.version(name)}" for name in PACKAGES]
    machine = f"one of {os.cpu_count()} cores, {processor()}"
    return f"""# Benchmarks

    make bench NNUNET=FOLDER

Made on {date.today()} at commit `{git_version(ROOT)}` on {machine}, in
{precision(torch.device("cpu"))} where ours may choose; {", ".join(versions + nnunet_versions())}.

The contestants of a part take turns, each in a process of its own with one thread. Times are CPU
time; ratios are of the same round, median and quartiles of all rounds after one to warm up. Memory
is the most that a contestant's process had beyond what it had before its first turn, or, of
commands, all that they had with their children.
*laptop* is the laptop study's network and batch, *paper* that of zhao2022; data are made up."""


def nnunet_versions() -> list[str]:
    """Versions of the peer, which lies in a folder of its own."""
    folder = os.environ.get("NNUNET")
    found = metadata.distributions(path=[folder]) if folder else ()
    versions = {one.metadata["Name"].replace("-", "_"): one.version for one in found}
    return [f"{name} {versions[name]}" for name in NNUNET_PACKAGES if name in versions]


if __name__ == "__main__":
    main()
