"""What is measured of one frame: volumes, expected Dice, uncertain slices, implausible anatomy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiouq.apply.anatomy import Oddity, implausible
from cardiouq.evaluation.heat_maps import estimated_dice, heat_map
from cardiouq.evaluation.surface import assd_within, occupied_box
from cardiouq.evaluation.volumes import volume_ml
from cardiouq.structures import STRUCTURES, mask_of

OfStructures = dict[str, float]


@dataclass(frozen=True)
class FrameMeasures:
    """What is measured of a frame, by structure; slices count from 0.

    Attributes:
        ml: volume of the segmentation.
        sample_ml: volume of each sample.
        expected_dice: that the heat map expects of the segmentation.
        entropy_bits: mean over all voxels.
        slice_dice: expected Dice of each slice.
        slice_entropy_bits: mean over each slice.
        flagged: slices whose uncertainty reaches the model's threshold.
        implausible: what no heart looks like, and where, in words.
    """

    ml: OfStructures
    sample_ml: dict[str, list[float]]
    expected_dice: OfStructures
    entropy_bits: float
    slice_dice: list[OfStructures]
    slice_entropy_bits: list[float]
    flagged: dict[str, list[int]]
    implausible: list[Oddity]


def measure(
    products: Mapping[str, NDArray[Any]],
    spacing: tuple[float, float, float],
    thresholds: Mapping[str, Mapping[str, Any]],
    *,
    pooled: bool,
) -> FrameMeasures:
    """Measure all numbers of one frame.

    Args:
        products: of `CaseSums.products`, on the scan's own grid.
        spacing: (z, y, x) in mm.
        thresholds: structure -> metric, and from where on a slice is flagged (None: never).
        pooled: whether ASSD is over both surfaces together.
    """
    segmentation, probabilities = products["segmentation"], products["probabilities"]
    samples = products.get("samples", segmentation[None])
    masks = {name: mask_of(segmentation, name) for name in STRUCTURES}
    heats = {name: heat_map(probabilities, name) for name in STRUCTURES}
    in_slices = {name: estimated_dice(heats[name], masks[name]) for name in STRUCTURES}
    return FrameMeasures(
        ml={name: float(volume_ml(mask[None], spacing)[0]) for name, mask in masks.items()},
        sample_ml={
            name: volume_ml(mask_of(samples, name), spacing).tolist() for name in STRUCTURES
        },
        expected_dice={
            name: float(estimated_dice(heats[name][None], masks[name][None])[0])
            for name in STRUCTURES
        },
        entropy_bits=float(products["entropy"].mean(dtype=np.float64)),
        slice_dice=[
            {name: float(values[z]) for name, values in in_slices.items()}
            for z in range(len(segmentation))
        ],
        slice_entropy_bits=products["entropy"].mean((1, 2), dtype=np.float64).tolist(),
        flagged={
            name: _flagged(name, in_slices[name], segmentation, samples, spacing, limit, pooled)
            for name, limit in thresholds.items()
        },
        implausible=implausible(segmentation, spacing),
    )


def _flagged(
    name: str,
    dice: NDArray[np.float64],
    segmentation: NDArray[np.uint8],
    samples: NDArray[np.uint8],
    spacing: tuple[float, float, float],
    limit: Mapping[str, Any],
    pooled: bool,
) -> list[int]:
    """Slices of a structure whose uncertainty reaches a limit."""
    if limit["from"] is None:
        return []
    if limit["metric"] == "estimated_dice":
        return [int(z) for z in np.flatnonzero(1 - dice >= limit["from"])]
    rows, columns = occupied_box(np.logical_or((samples > 0).any((0, 1)), segmentation.any(0)))
    within = assd_within(
        mask_of(samples[..., rows, columns], name),
        mask_of(segmentation[..., rows, columns], name),
        spacing[1:],
        segmentation.shape[1:],
        pooled=pooled,
    )
    return [int(z) for z in np.flatnonzero(within >= limit["from"])]
