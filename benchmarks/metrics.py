"""Values and time of Dice, ASSD, HD and HD95 beside those of other libraries, on real volumes.

All libraries run in turn in one process on one core, from masks that are ready in the form each
wants. Times are CPU time, so that other work on the machine counts little. Ends with a line
`PEER RATIO` per peer: its time over ours, median over volumes and repeats.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import argparse
import importlib.metadata
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from cardiouq.data.readers.found import FoundCase
from cardiouq.data.readers.layouts import find_acdc
from cardiouq.data.readers.scans import load_volume
from cardiouq.evaluation.overlap import dice
from cardiouq.evaluation.surface import surface_distances
from cardiouq.structures import STRUCTURES

Labels = NDArray[np.uint8]
Values = NDArray[np.float64]

REPOSITORY = Path(__file__).parents[1]
PREDICTIONS = REPOSITORY / "results/laptop/prediction/vanilla/acdc-val"
SUFFIX = "_segmentation.nii.gz"
METRICS = ("Dice", "ASSD", "HD", "HD95")
SHAPE, SPACING = (10, 256, 216), (10.0, 1.4, 1.4)
REPEATS = 7
NG2022_SECONDS = 0.40
"""ASSD_within of 50 samples of a slice as ng2022 reports it."""


class Volume(NamedTuple):
    """Labels (slices, rows, columns) to be compared."""

    name: str
    predicted: Labels
    reference: Labels

    def masks(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Masks (structures, slices, rows, columns) of both."""
        values = np.arange(1, len(STRUCTURES) + 1).reshape(-1, 1, 1, 1)
        return self.predicted == values, self.reference == values


Measure = Callable[[], Values]
"""What is timed; its result has a row per metric and a column per structure."""


def with_ours(volume: Volume) -> Measure:
    predicted, reference = volume.masks()

    def measure() -> Values:
        distances = surface_distances(predicted, reference, SPACING)
        surface = distances.assd(), distances.hausdorff(), distances.hd95()
        return np.stack([dice(predicted, reference), *surface])

    return measure


def with_medpy(volume: Volume) -> Measure:
    from medpy.metric.binary import assd, dc, hd, hd95

    pairs = list(zip(*volume.masks(), strict=True))

    def measure() -> Values:
        overlap = [dc(*pair) for pair in pairs]
        surface = [[metric(*pair, SPACING) for pair in pairs] for metric in (assd, hd, hd95)]
        return np.array([overlap, *surface])

    return measure


def with_monai(volume: Volume) -> Measure:
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
    )

    torch.set_num_threads(1)
    one_hot = [torch.from_numpy(masks[None]).float() for masks in volume.masks()]
    surface = {"include_background": True, "spacing": SPACING}  # the first is no background

    def measure() -> Values:
        values = (
            compute_dice(*one_hot),
            compute_average_surface_distance(*one_hot, symmetric=True, **surface),
            compute_hausdorff_distance(*one_hot, **surface),
            compute_hausdorff_distance(*one_hot, percentile=95, **surface),
        )
        return np.concatenate([value.numpy() for value in values])

    return measure


def with_simpleitk(volume: Volume) -> Measure:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    images = [sitk.GetImageFromArray(labels) for labels in (volume.predicted, volume.reference)]
    for image in images:
        image.SetSpacing(SPACING[::-1])

    def distances(contour: sitk.Image, to: sitk.Image) -> Values:
        transform = sitk.SignedMaurerDistanceMap(to, squaredDistance=False, useImageSpacing=True)
        found = sitk.GetArrayViewFromImage(transform)[sitk.GetArrayViewFromImage(contour) > 0]
        return np.maximum(found, 0)  # negative within thick contours

    def measure() -> Values:
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(*images)
        contours = [sitk.LabelContour(image) for image in images]
        values = []
        for label in range(1, len(STRUCTURES) + 1):
            one, other = (contour == label for contour in contours)
            there, back = distances(one, other), distances(other, one)
            percentiles = [np.percentile(direction, 95) for direction in (there, back)]
            surface = np.concatenate([there, back])
            dice_of_label = overlap.GetDiceCoefficient(label)
            values.append([dice_of_label, surface.mean(), surface.max(), max(percentiles)])
        return np.array(values).T

    return measure


def with_surface_distance(volume: Volume) -> Measure:
    from surface_distance.metrics import (
        compute_average_surface_distance,
        compute_dice_coefficient,
        compute_robust_hausdorff,
        compute_surface_distances,
    )

    def measure_one(predicted: NDArray[np.bool_], reference: NDArray[np.bool_]) -> list[float]:
        distances = compute_surface_distances(reference, predicted, SPACING)
        return [
            compute_dice_coefficient(reference, predicted),
            np.mean(compute_average_surface_distance(distances)),
            compute_robust_hausdorff(distances, 100),
            compute_robust_hausdorff(distances, 95),
        ]

    pairs = list(zip(*volume.masks(), strict=True))
    return lambda: np.array([measure_one(*pair) for pair in pairs]).T


PEERS: dict[str, Callable[[Volume], Measure]] = {
    "medpy": with_medpy,
    "MONAI": with_monai,
    "SimpleITK": with_simpleitk,
    "surface-distance": with_surface_distance,
}


def of_made_up_volume(library: str) -> Measure:
    """A contestant of `rounds.py`: a library on a heart of rings and its shifted copy."""
    rows, columns = np.indices(SHAPE[1:])
    distance = np.hypot(rows - SHAPE[1] / 2, columns - SHAPE[2] / 2)
    reference = np.broadcast_to((3 - np.digitize(distance, [15, 22, 32])).astype(np.uint8), SHAPE)
    volume = Volume("made up", np.roll(reference, (3, 2), (1, 2)), reference)
    return {"ours": with_ours, **PEERS}[library](volume)


EDGE = "its contour does not count the image's edge, where the heart is cut off, as outside"
ELEMENTS = "surface elements between voxels in place of border voxels"
OTHER_DEFINITIONS = {
    ("medpy", "HD95"): "percentile of both directions together, not the larger of the two",
    ("SimpleITK", "ASSD"): EDGE,
    ("SimpleITK", "HD"): EDGE,
    ("SimpleITK", "HD95"): EDGE,
    ("surface-distance", "ASSD"): f"{ELEMENTS}, weighted by area; mean of the directed means",
    ("surface-distance", "HD"): ELEMENTS,
    ("surface-distance", "HD95"): f"{ELEMENTS}, weighted by area",
}
"""Known reasons for a peer's values to differ from ours."""
RELATIVE_TOLERANCE = 1e-4  # some peers count in float32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("acdc_root", nargs="?", default=os.environ.get("CARDIOUQ_ACDC_ROOT"))
    parser.add_argument("--prediction", type=Path, help=f"CASE{SUFFIX} of an ACDC case")
    arguments = parser.parse_args()
    if not arguments.acdc_root:
        sys.exit(
            "These measurements need real scans: name the folder that holds ACDC's `training` as "
            "the argument or in the environment variable CARDIOUQ_ACDC_ROOT."
        )
    cases, problems = find_acdc(Path(arguments.acdc_root))
    if not cases:
        sys.exit("\n".join(problems))
    warnings.simplefilter("ignore")  # of peers, about functions that they still use

    volumes = make_volumes(cases, arguments.prediction)
    seconds, values = run_in_turn(volumes)
    unexplained = print_values(volumes, seconds, values)
    time_within(volumes[0].reference)
    print("\nTime over ours, on one core, median over volumes and repeats:")
    for peer in PEERS:
        print(peer, f"{ratio(seconds, peer):.1f}" if peer in seconds else "not measured")
    if unexplained:
        sys.exit(f"Values of {', '.join(unexplained)} differ from ours for no known reason.")


def make_volumes(cases: list[FoundCase], prediction: Path | None) -> list[Volume]:
    """A reference against itself eroded and shifted, and a real prediction if there is any."""
    case = min(cases, key=lambda case: distance_to_shape(case.label))
    reference = read_labels(case.label)
    eroded = np.zeros_like(reference)
    for label in range(1, len(STRUCTURES) + 1):
        eroded[binary_erosion(reference == label, np.ones((1, 3, 3)))] = label
    volumes = [
        Volume(f"{case.case}, eroded in plane", eroded, reference),
        Volume(f"{case.case}, shifted", np.roll(reference, (3, 2), (1, 2)), reference),
    ]
    file = prediction or min(
        sorted(PREDICTIONS.glob(f"*{SUFFIX}")), key=distance_to_shape, default=None
    )
    if file is None:
        print(f"Without a real prediction: {PREDICTIONS.relative_to(REPOSITORY)} is not there.")
        return volumes
    name = file.name.removesuffix(SUFFIX)
    of_name = [case for case in cases if case.case == name]
    if not of_name:
        sys.exit(f"{file}: expected a file CASE{SUFFIX} of an ACDC case such as {cases[0].case}.")
    predicted, reference = read_labels(file), read_labels(of_name[0].label)
    return [*volumes, Volume(f"{name}, predicted", predicted, reference)]


def read_labels(path: Path) -> Labels:
    """Labels in the order of memory that every library expects."""
    return np.ascontiguousarray(load_volume(path, -1), dtype=np.uint8)


def distance_to_shape(path: Path) -> int:
    """Difference of a file's shape from the one that issues and papers speak of."""
    return sum(abs(n - m) for n, m in zip(nib.load(path).shape[::-1], SHAPE, strict=True))


def run_in_turn(
    volumes: list[Volume],
) -> tuple[dict[str, dict[str, list[float]]], dict[str, dict[str, Values]]]:
    """CPU seconds and values by library and volume; reports peers that cannot be measured."""
    seconds: dict[str, dict[str, list[float]]] = defaultdict(dict)
    values: dict[str, dict[str, Values]] = defaultdict(dict)
    missing = set()
    for volume in volumes:
        measures = {}
        for library, prepare in {"ours": with_ours, **PEERS}.items():
            try:
                measure = prepare(volume)
                values[library][volume.name] = measure()  # also the warm-up
                measures[library] = measure
            except ImportError:
                missing.add(library)
            except Exception as error:  # a peer that cannot do it: that is a result too
                print(f"{library} failed on {volume.name}: {type(error).__name__}: {error}")
        times: dict[str, list[float]] = {library: [] for library in measures}
        for _ in range(REPEATS):
            for library, measure in measures.items():
                times[library].append(cpu_seconds(measure))
        for library, found in times.items():
            seconds[library][volume.name] = found
    for peer in sorted(missing):
        print(f"{peer} is not installed: pip install --requirement benchmarks/requirements.txt")
    return seconds, values


def cpu_seconds(measure: Callable[[], object]) -> float:
    start = time.process_time()
    measure()
    return time.process_time() - start


def ratio(seconds: dict[str, dict[str, list[float]]], peer: str) -> float:
    """Time of a peer over ours, median over volumes and repeats."""
    ratios = [np.divide(times, seconds["ours"][volume]) for volume, times in seconds[peer].items()]
    return float(np.median(np.concatenate(ratios)))


def print_values(
    volumes: list[Volume],
    seconds: dict[str, dict[str, list[float]]],
    values: dict[str, dict[str, Values]],
) -> list[str]:
    """Values and times beside ours, and why they differ; returns what differs unexplained."""
    for volume in volumes:
        shape = " x ".join(map(str, volume.reference.shape))
        print(f"\n{volume.name}: {shape} at {' x '.join(map(str, SPACING))} mm")
        print(" " * 26 + "".join(f"{metric:22}" for metric in METRICS).rstrip())
        print(" " * 24 + ("{:>6} {:>6} {:>6}  ".format(*STRUCTURES)) * len(METRICS) + "     ms")
        for library in seconds:
            if volume.name in seconds[library]:
                numbers = (
                    " ".join(f"{value:6.3f}" for value in row)
                    for row in values[library][volume.name]
                )
                milliseconds = 1000 * np.median(seconds[library][volume.name])
                print(f"{versioned(library):24}{'  '.join(numbers)}{milliseconds:8.1f}")

    print("\nDefinitions, next to ours:")
    unexplained = []
    for peer in PEERS:
        for row, metric in enumerate(METRICS):
            if not values[peer]:
                continue
            gap = max(
                relative_gap(found[row], values["ours"][volume][row])
                for volume, found in values[peer].items()
            )
            reason = OTHER_DEFINITIONS.get((peer, metric))
            if np.isinf(gap):
                reason = "not finite where a mask is empty"
            if gap > RELATIVE_TOLERANCE:
                verdict = f"differs by up to {gap:.1%}: {reason or 'NO KNOWN REASON'}"
                unexplained += [] if reason else [f"{peer}'s {metric}"]
            else:
                verdict = "equal" + (f" here, yet {reason}" if reason else "")
            print(f"{peer:18}{metric:6}{verdict}")
    return unexplained


def relative_gap(theirs: Values, ours: Values) -> float:
    """Largest relative difference, infinite if any of theirs is not finite."""
    gaps = np.abs(theirs - ours) / np.maximum(ours, RELATIVE_TOLERANCE)
    return float(np.where(np.isfinite(gaps), gaps, np.inf).max())


def versioned(library: str) -> str:
    return library if library == "ours" else f"{library} {importlib.metadata.version(library)}"


def time_within(reference: Labels) -> None:
    """Time of ASSD_within: 50 samples of a slice against the segmentation of their mean."""
    size, count = 160, 50
    consensus = reference[np.argmax(np.count_nonzero(reference, axis=(1, 2)))]
    for axis in (0, 1):
        centre = int(np.median(np.nonzero(consensus)[axis]))
        start = np.clip(centre - size // 2, 0, consensus.shape[axis] - size)
        consensus = consensus.take(range(start, start + size), axis)
    shifts = np.random.default_rng(0).integers(-3, 4, (count, 2))
    samples = np.stack([np.roll(consensus, shift, (0, 1)) for shift in shifts])

    def measure() -> list[float]:
        return [
            surface_distances(samples == label, consensus[None] == label, SPACING[1:]).assd().mean()
            for label in range(1, len(STRUCTURES) + 1)
        ]

    seconds = np.median([cpu_seconds(measure) for _ in range(REPEATS)])
    print(
        f"\nASSD_within of {count} samples (a reference shifted by up to 3 voxels) of one slice of "
        f"{size} x {size}, {len(STRUCTURES)} structures: {seconds:.4f} s, 1/"
        f"{NG2022_SECONDS / seconds:.0f} of the {NG2022_SECONDS} s that ng2022 reports"
    )


if __name__ == "__main__":
    main()
