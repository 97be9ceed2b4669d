"""The page of a model's scans: the viewer, the most doubtful scan first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from cardiouq.apply.findings import end_volumes, judged, lowest_expected_dice
from cardiouq.apply.orientation import Turn
from cardiouq.apply.scans import open_frames
from cardiouq.reporting.viewer.page import Criterion, write_viewer
from cardiouq.reporting.viewer.pictures import Reading, ViewedScan, VolumeCurve
from cardiouq.structures import MEAN, STRUCTURES

FORMAT = 2
"""Version of the page; another one has it written anew."""
LOWEST = "lowest"
DICE, ENTROPY = "expected Dice", "entropy (bits)"
CRITERIA = [
    Criterion("lowest expected Dice", DICE, LOWEST, low_is_worse=True),
    *(Criterion(f"expected Dice of {n}", DICE, n, low_is_worse=True) for n in STRUCTURES),
    Criterion("entropy (bits)", ENTROPY, MEAN, low_is_worse=False),
]
CAPTION = (
    "Solid lines: the model's segmentation. The right picture is the entropy, how much the model "
    "is in doubt about a voxel. The expected Dice is what the model's probabilities promise of its "
    "own segmentation, the lowest of the frames that numbers are read off; for the lowest of all, "
    "what a stack lacks of a heart counts 0. Nothing here has been validated for diagnosis or "
    "treatment."
)


def write_page(
    folder: Path,
    results: Iterable[tuple[Mapping[str, Any], Path]],
    errors: Sequence[str],
    label: str,
    title: str,
) -> None:
    """Write the page of scans, which opens from disk.

    Args:
        folder: takes the place of what is there.
        results: findings of each scan, and the folder with its volumes.
        errors: what is wrong with each scan that is not segmented.
        label: of the method.
        title: heading of the page.
    """
    scans, methods = _viewed(results), {"model": label}
    write_viewer(folder, scans, methods, CRITERIA, title, CAPTION, missing=errors)


def _viewed(results: Iterable[tuple[Mapping[str, Any], Path]]) -> Iterator[ViewedScan]:
    for findings, folder in results:
        scan = open_frames(Path(findings["file"]))
        turn = Turn.upright(scan.image.affine) if scan.is_oriented else Turn(False, ())
        reading = Reading(
            turn.turned(_volumes(folder / "segmentation.nii.gz")),
            turn.turned(_volumes(folder / "entropy.nii.gz")),
            _of_scan(findings),
            [
                {DICE: dice, ENTROPY: {MEAN: entropy}}
                for frame in findings["frames"]
                for dice, entropy in zip(
                    frame["slice_dice"], frame["slice_entropy_bits"], strict=True
                )
            ],
            _curve(findings),
        )
        yield ViewedScan(
            findings["name"],
            [findings["name"], *_about(findings)],
            turn.turned(np.stack(list(scan.frames()))),
            turn.spacing(scan.spacing)[1:],
            None,
            {"model": reading},
            [f"{what}: {where}" for what, where in findings["reasons"].items()],
        )


def _curve(findings: Mapping[str, Any]) -> VolumeCurve | None:
    """Volumes over the frames of a cine: of the heart its ventricles', as myocardium keeps its."""
    frames = findings["frames"]
    if len(frames) == 1:
        return None
    shown = [name for name in STRUCTURES if name != "MYO"]
    ml = {name: [frame["ml"][name] for frame in frames] for name in shown}
    return VolumeCurve(ml, findings["phases"])


def _volumes(path: Path) -> Any:
    """The frames of a file, (frames, slices, rows, columns)."""
    volumes = np.asanyarray(nib.load(path).dataobj).T
    return volumes if volumes.ndim == 4 else volumes[None]


def _about(findings: Mapping[str, Any]) -> list[str]:
    """What is said of a scan in the list: frames, ejection fraction, and what is odd."""
    frames = len(findings["frames"])
    fraction = [row for row in findings["quantities"] if row["quantity"] == "LVEF"][-1:]
    return [
        f"{frames} frames" if frames > 1 else "one volume",
        *map(_interval, fraction),
        *findings["reasons"],
    ]


def _interval(row: Mapping[str, Any]) -> str:
    """An ejection fraction with its interval of the highest level that there is."""
    text = f"LVEF {row['estimate']:.0f} %"
    if row["nominal"] is None:
        return text
    return f"{text} [{row['low']:.0f}, {row['high']:.0f}] at {100 * row['nominal']:.0f} %"


def _of_scan(findings: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Numbers of a whole scan: of the frames that it is judged by."""
    frames = judged(findings)
    dice = {name: min(frame["expected_dice"][name] for frame in frames) for name in STRUCTURES}
    numbers = {
        DICE: dice | {LOWEST: lowest_expected_dice(findings)},
        ENTROPY: {MEAN: float(np.mean([frame["entropy_bits"] for frame in frames]))},
    }
    volumes = end_volumes(frames)
    if phases := findings["phases"]:
        volumes = {phase: frame["ml"] for phase, frame in zip(phases, frames, strict=True)}
    for which, ml in volumes.items():
        numbers[f"{which} volume (ml)".strip()] = ml
    fractions = {
        row["quantity"].removesuffix("EF"): row["estimate"]
        for row in findings["quantities"]
        if row["quantity"].endswith("EF")
    }
    return numbers | ({"EF (%)": fractions} if fractions else {})
