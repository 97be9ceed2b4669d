"""Each part of the hot path beside a named peer, in one run: `make bench`.

Every part has contestants that take turns, each in a process of its own on one core. The ratio is
a peer's CPU time over ours in the same round. Writes docs/results/benchmarks.md.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import prediction
import sizes
from pages import Part, measured, write_page
from rounds import ALLOCATOR, Contestant

from cardiouq.device.environment import COMPILE_VARIABLE

ABOUT = """*laptop* is the laptop study's network and batch, *paper* that of zhao2022; data are made
up."""
EAGER, COMPILED = ({**ALLOCATOR, COMPILE_VARIABLE: wanted} for wanted in ("never", "always"))


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
                    ours("ours", "training:iteration"),
                    ours("ours, compiled", "training:iteration", COMPILED),
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
    of_dropout = "training:with_dropout", ("laptop", str(folders["laptop"]))
    found.append(
        Part(
            "Training with dropout, laptop",
            [
                Contestant("ours", *of_dropout, EAGER),
                Contestant("ours, compiled", *of_dropout, COMPILED),
            ],
            15,
        )
    )
    for of in ("float32", "bfloat16"):
        contestants = [Contestant(f, f"dropout:{f}", (of,), ALLOCATOR) for f in ("ours", "pytorch")]
        found.append(Part(f"Dropout, {of}", contestants, 15))
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
        paragraphs = [ABOUT, *measured(parts(folders))]
        paragraphs += [
            f"Segmentations of {size}'s prediction and of the plain loop differ in "
            f"{prediction.differing_share(folder.parent):.2%} of the voxels that either labels."
            for size, folder in folders.items()
        ]
    write_page("benchmarks.md", "Benchmarks", "make bench NNUNET=FOLDER", paragraphs)


if __name__ == "__main__":
    main()
