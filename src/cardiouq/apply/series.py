"""Series of DICOM that lack a slice, or have one twice.

Of these dcm2niix makes scans of another size, as it takes one distance for all slices.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

APART = 0.1
"""Distance in mm up to which positions are of one slice, and by which distances may differ."""
TAGS = ("SeriesInstanceUID", "SeriesNumber", "ImagePositionPatient", "ImageOrientationPatient")


class Place(NamedTuple):
    """Where a slice lies.

    Attributes:
        stack: the series by its unique identifier, and the orientation, of which it may have
            several, as localizers do.
        along: the position in mm across the slices.
    """

    stack: tuple[str, tuple[float, ...]]
    along: float


def broken_series(files: Iterable[Path]) -> dict[int, tuple[str, list[Path]]]:
    """Series whose slices are not at equal distances, or not equally often there.

    Args:
        files: of one folder. Those without a position count for nothing, as that of an enhanced
            series, which is one file.

    Returns:
        Number of the series -> what was found, and its files.
    """
    of_series: dict[int, list[Path]] = defaultdict(list)
    stacks: dict[tuple[int, tuple[str, tuple[float, ...]]], list[float]] = defaultdict(list)
    for path in files:
        number, place = _read(path)
        of_series[number].append(path)
        if place:
            stacks[number, place.stack].append(place.along)
    found = ((number, _wrong(along)) for (number, _), along in stacks.items())
    return {number: (wrong, of_series[number]) for number, wrong in found if wrong}


def _read(path: Path) -> tuple[int, Place | None]:
    """Number of a file's series, and where its slice lies; dcm2niix tells of a broken file."""
    from pydicom import dcmread  # which need not be installed, as dcm2niix need not

    number = 0
    with warnings.catch_warnings(action="ignore"):  # of values longer than they may be
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=[*TAGS])
            number = int(header.SeriesNumber or 0)
            axes = np.array(header.ImageOrientationPatient, dtype=float)
            position = np.array(header.ImagePositionPatient, dtype=float)
            stack = str(header.SeriesInstanceUID), tuple(axes.round(2).tolist())
            return number, Place(stack, float(np.cross(axes[:3], axes[3:]) @ position))
        except Exception:
            return number, None


def _wrong(along: Sequence[float]) -> str:
    """What is wrong with the positions of a stack's slices, in mm; empty for a whole one."""
    positions = np.sort(along)
    slices = np.split(positions, np.flatnonzero(np.diff(positions) > APART) + 1)
    counts = [len(times) for times in slices]
    if min(counts) < max(counts):
        return f"a slice is there {max(counts)} times, and another {min(counts)}"
    distances = np.diff([times.mean() for times in slices])
    if distances.size and np.ptp(distances) > APART:
        return f"its slices lie {distances.min():.4g} to {distances.max():.4g} mm apart"
    return ""
