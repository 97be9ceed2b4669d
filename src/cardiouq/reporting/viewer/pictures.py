"""What the viewer shows of a scan: pictures, outlines and maps of its slices, and numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiouq.reporting.slices import Window
from cardiouq.reporting.style import STRUCTURE_COLOURS
from cardiouq.reporting.viewer.drawing import grey_picture, map_picture, outline
from cardiouq.structures import FOREGROUND, label_of, mask_of

MARGIN = 20.0
"""What is shown around all outlines, in mm."""

Numbers = Mapping[str, Mapping[str, float]]
"""Metric, as it is printed -> structure, or what else a row is called -> value."""
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class VolumeCurve:
    """Volumes over the frames of a cine.

    Attributes:
        ml: structure -> its volume in each frame.
        phases: what is marked, as ED -> its frame, from 0.
    """

    ml: Mapping[str, Sequence[float]]
    phases: Mapping[str, int]


@dataclass(frozen=True)
class Reading:
    """What a method makes of a scan.

    Attributes:
        segmentation: labels, (frames, slices, rows, columns).
        entropy: of the probabilities, in bits, likewise.
        of_scan: numbers of the whole scan.
        of_slices: numbers of each slice, frame by frame.
        volumes: of a cine.
    """

    segmentation: Labels
    entropy: NDArray[np.float32]
    of_scan: Numbers
    of_slices: Sequence[Numbers]
    volumes: VolumeCurve | None = None


@dataclass(frozen=True)
class ViewedScan:
    """A scan with what methods make of it.

    Attributes:
        name: no other scan has it; links name it.
        about: what is said of it in the list.
        image: intensities, (frames, slices, rows, columns); a volume is one frame.
        spacing: of rows and columns, mm.
        reference: labels likewise, or None where nobody segmented it.
        readings: by method.
        remarks: what to look at, in words.
    """

    name: str
    about: Sequence[str]
    image: NDArray[np.float32]
    spacing: tuple[float, float]
    reference: Labels | None
    readings: Mapping[str, Reading]
    remarks: Sequence[str] = ()


def pictures_of(scan: ViewedScan) -> dict[str, Any]:
    """Draw all that is shown of a scan, its slices frame by frame, as the page's program reads it.

    With a reference there are pictures of all that it or a method outlines, and what it outlines
    itself is looked at first; without one they are of whole slices, and what methods outline is.
    """
    frames, slices = scan.image.shape[:2]
    shown, heart = _windows(scan)
    y, x = shown.rows.start * scan.spacing[0], shown.columns.start * scan.spacing[1]

    def flat(volume: NDArray[Any]) -> NDArray[Any]:
        part: NDArray[Any] = volume[..., shown.rows, shown.columns]
        return part.reshape(-1, *part.shape[2:])

    image = flat(scan.image)
    low, high = np.percentile(image, (1, 99.5))
    return {
        "remarks": list(scan.remarks),
        "frames": frames,
        "slices": slices,
        "size": image.shape[1:],
        "spacing": scan.spacing,
        # left, top, width and height in mm from the pictures' corner
        "views": [
            [left - x, top - y, right - left, bottom - top]
            for left, right, bottom, top in (heart.limits, shown.limits)
        ],
        "images": [grey_picture(values, low, high) for values in image],
        "reference": None if scan.reference is None else list(map(_outlines, flat(scan.reference))),
        "readings": {
            method: {
                "outlines": list(map(_outlines, flat(reading.segmentation))),
                "maps": list(map(map_picture, flat(reading.entropy))),
                "of_scan": reading.of_scan,
                "of_slices": reading.of_slices,
                "volumes": reading.volumes and asdict(reading.volumes),
            }
            for method, reading in scan.readings.items()
        },
    }


def _windows(scan: ViewedScan) -> tuple[Window, Window]:
    """What there are pictures of, and the part of it that is looked at first."""
    predicted = _silhouette(*(reading.segmentation for reading in scan.readings.values()))
    if scan.reference is None:
        whole = Window.around(np.ones_like(predicted), scan.spacing, 0)
        return whole, Window.around(predicted, scan.spacing, MARGIN)
    reference = _silhouette(scan.reference)
    every = Window.around(predicted | reference, scan.spacing, MARGIN)
    return every, Window.around(reference, scan.spacing, MARGIN)


def _silhouette(*labels: Labels) -> NDArray[np.bool_]:
    """Where any frame and slice of several label maps has a structure, (rows, columns)."""
    found = [mask_of(volume, FOREGROUND).any((0, 1)) for volume in labels]
    silhouette: NDArray[np.bool_] = np.logical_or.reduce(found)
    return silhouette


def _outlines(labels: Labels) -> dict[str, str]:
    """Structure -> path around it, of those that a slice's labels hold."""
    paths = {name: outline(labels == label_of(name)) for name in STRUCTURE_COLOURS}
    return {name: path for name, path in paths.items() if path}
