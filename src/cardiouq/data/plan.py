"""The plan: how nnU-Net v2's default planner would configure its 2D network for a training set.

The rules are those of Isensee et al. 2021 (doi 10.1038/s41592-020-01008-z) as nnU-Net v2 applies
them: the spacing is the data's median, the patch is the median image unless memory forbids, the
network pools until its feature maps are a few pixels wide, and the batch fills the memory left.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from cardiouq.errors import CardiouqError
from cardiouq.files.documents import parse_json
from cardiouq.files.reading import read, to_delete
from cardiouq.structures import N_CLASSES

# nnU-Net's constants. The reference pair says: a network whose feature maps hold 85e6 values per
# image trains with 12 images in the 8 GB of GPU memory that nnU-Net plans for.
ANISOTROPY_THRESHOLD = 3.0
LOW_RESOLUTION_PERCENTILE = 10
LARGEST_PATCH_EDGE = 2048
MIN_FEATURE_EDGE = 4
MIN_STAGES = 3
REFERENCE_FEATURE_VALUES = 85_000_000
REFERENCE_BATCH_SIZE = 12
MIN_BATCH_SIZE = 2
MAX_SHARE_OF_DATASET = 0.05
CONVOLUTIONS_PER_STAGE = 2

Pair = tuple[int, int]

COUNT = {"type": "integer", "minimum": 1}
LENGTH = {"type": "number", "exclusiveMinimum": 0}
PAIR = {"type": "array", "items": COUNT, "minItems": 2, "maxItems": 2}
STAGES = {"type": "array", "minItems": MIN_STAGES}
NEEDED = {
    "spacing": PAIR | {"items": LENGTH},
    "patch_size": PAIR,
    "batch_size": COUNT,
    "n_stages": COUNT,
    "features_per_stage": STAGES | {"items": COUNT},
    "kernel_sizes": STAGES | {"items": PAIR},
    "strides": STAGES | {"items": PAIR},
}
SCHEMA = {
    "type": "object",
    "properties": NEEDED
    | {
        "intensity": {
            "type": "array",
            "prefixItems": [{"type": "number"}, LENGTH],
            "minItems": 2,
            "maxItems": 2,
        },
        "crop": PAIR,
    },
    "required": list(NEEDED),
    "additionalProperties": False,
}
"""JSON schema of `plan.json`."""


@dataclass(frozen=True)
class Plan:
    """Shapes that the 2D network is built and fed with; pairs are (y, x), that is (rows, columns).

    `kernel_sizes` and `strides` have one pair per encoder stage, from the input downwards; a
    stage's stride is that of its first convolution.
    """

    spacing: tuple[float, float]
    """Pixel size in mm that every slice is resampled to."""
    patch_size: Pair
    batch_size: int
    n_stages: int
    features_per_stage: tuple[int, ...]
    kernel_sizes: tuple[Pair, ...]
    strides: tuple[Pair, ...]
    intensity: tuple[float, float] | None = None
    """Mean and divisor of every scan's intensities; None: its own mean and SD."""
    crop: Pair | None = None
    """Size of the centre of every slice that is learnt from and predicted, in pixels; None: all."""

    def to_json(self) -> str:
        """JSON text that `from_json` reads back to an equal plan."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(fields, indent=2) + "\n"

    @property
    def feature_values(self) -> int:
        """Values in all feature maps of the network for one image of the patch's size."""
        return _feature_values(self.patch_size, self.strides, self.features_per_stage)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the plan that another job made; raises `CardiouqError` if it is not as it was."""
        return cls.from_json(read(path), path)

    @classmethod
    def from_json(cls, content: bytes, path: Path) -> Self:
        """Read `to_json`'s text in a file; raises `CardiouqError` if it is no plan."""
        found: dict[str, Any] = parse_json(content, path, SCHEMA)
        stages = [found["features_per_stage"], found["kernel_sizes"], found["strides"]]
        if any(len(stage) != found["n_stages"] for stage in stages):
            raise CardiouqError(
                f"{path}: {[len(stage) for stage in stages]} features, kernel sizes and strides; "
                f"expected one of the {found['n_stages']} stages each; delete {to_delete(path)} "
                "and run again"
            )
        return cls(**{name: _tuple(value) for name, value in found.items()})


@dataclass(frozen=True)
class _Topology:
    """A network's shape for one patch, which is padded so that every pooling halves it evenly."""

    patch_size: Pair
    kernel_sizes: tuple[Pair, ...]
    strides: tuple[Pair, ...]
    divisor: Pair


def make_plan(
    shapes: Sequence[tuple[int, int, int]],
    spacings: Sequence[tuple[float, float, float]],
    *,
    spacing: tuple[float, float] | None,
    patch_size: Pair | None,
    base_features: int,
    max_features: int,
    max_stages: int | None,
) -> Plan:
    """Plan the 2D network from a training set's volumes, one shape and one spacing per volume.

    Args:
        shapes: (slices, rows, columns) of every training volume. nnU-Net counts them without
            borders of zeros, which in ACDC are a pixel wide and leave the medians as they are.
        spacings: (z, y, x) in mm of every training volume.
        spacing: (y, x) in mm to use instead of the derived one, such as a coarser grid; None:
            the derived one.
        patch_size: (y, x) to use instead of the derived one, padded to what pooling needs; None:
            the derived one.
        base_features: feature maps of the first stage, doubled from stage to stage.
        max_features: most feature maps of a stage.
        max_stages: most stages; None pools down to feature maps of 4 to 7 pixels.

    Raises:
        CardiouqError: no volumes, a bad number, or volumes whose slices are not their coarsest
            axis (nnU-Net would cut 2D slices along another axis).
    """
    target = _target_spacing(shapes, spacings)
    if spacing is not None:
        target = np.array([target[0], *spacing])
    if min(target) <= 0 or (patch_size is not None and min(patch_size) < 1):
        raise CardiouqError(
            f"The plan's spacing {spacing} and patch size {patch_size} must be positive."
        )
    resampled = np.rint(np.asarray(spacings) / target * np.asarray(shapes))
    median_shape = np.median(resampled, axis=0)
    in_plane = (float(target[1]), float(target[2]))

    def network(patch: Sequence[float]) -> tuple[_Topology, tuple[int, ...], int]:
        topology = _topology(in_plane, patch, max_stages)
        depth = len(topology.strides)
        features = tuple(min(max_features, base_features * 2**stage) for stage in range(depth))
        values = _feature_values(topology.patch_size, topology.strides, features)
        return topology, features, values

    if patch_size is not None:
        topology, features, values = network(patch_size)
    else:
        # 2048**2 pixels that cover a square in mm, cut to the median image.
        aspect = math.sqrt(in_plane[1] / in_plane[0])
        edges = round(LARGEST_PATCH_EDGE * aspect), round(LARGEST_PATCH_EDGE / aspect)
        topology, features, values = network(np.minimum(edges, median_shape[1:]).tolist())
        while values * MIN_BATCH_SIZE > REFERENCE_FEATURE_VALUES * REFERENCE_BATCH_SIZE:
            smaller = _reduced_patch(topology, in_plane, median_shape[1:], max_stages)
            topology, features, values = network(smaller)

    if len(topology.strides) < MIN_STAGES:
        raise CardiouqError(
            f"The plan's patch of {topology.patch_size} pixels has room for "
            f"{len(topology.strides)} stages; deep supervision needs {MIN_STAGES}. Set a larger "
            "`plan.patch_size`."
        )
    fits_memory = round(REFERENCE_FEATURE_VALUES / values * REFERENCE_BATCH_SIZE)
    pixels_of_dataset = float(np.prod(median_shape)) * len(shapes)
    fits_dataset = round(pixels_of_dataset * MAX_SHARE_OF_DATASET / math.prod(topology.patch_size))
    return Plan(
        spacing=in_plane,
        patch_size=topology.patch_size,
        batch_size=max(min(fits_memory, fits_dataset), MIN_BATCH_SIZE),
        n_stages=len(topology.strides),
        features_per_stage=features,
        kernel_sizes=topology.kernel_sizes,
        strides=topology.strides,
    )


def _target_spacing(
    shapes: Sequence[tuple[int, int, int]], spacings: Sequence[tuple[float, float, float]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Median spacing (z, y, x) in mm, with nnU-Net's exception for thick slices.

    Volumes of few, thick slices keep their z spacing at the 10th percentile, since resampling
    thin slices to the median would blur them. A 2D network never resamples z; the value only
    enters the count of voxels that limits the batch size.
    """
    if len(shapes) == 0 or len(shapes) != len(spacings):
        raise CardiouqError(
            f"A plan needs a shape and a spacing per training volume; found {len(shapes)} shapes "
            f"and {len(spacings)} spacings."
        )
    if np.min(shapes) < 1 or not np.min(spacings) > 0:
        raise CardiouqError(
            "A training volume has a shape or a spacing that is not positive; check its header."
        )
    target = np.median(np.asarray(spacings, dtype=np.float64), axis=0)
    slices, *edges = np.median(shapes, axis=0)
    finest_allowed = max(target[1:])
    if target[0] < finest_allowed:
        raise CardiouqError(
            f"The training volumes' median spacing (z, y, x) is {target.tolist()} mm; expected "
            "slices at least as thick as their pixels. Check the axis order of the images."
        )
    is_thick = target[0] > ANISOTROPY_THRESHOLD * finest_allowed
    if is_thick and slices * ANISOTROPY_THRESHOLD < min(edges):
        thin = float(np.percentile([z for z, _, _ in spacings], LOW_RESOLUTION_PERCENTILE))
        target[0] = max(thin, finest_allowed)
    return target


def _topology(
    spacing: tuple[float, float], patch: Sequence[float], max_stages: int | None
) -> _Topology:
    """Pool axes whose spacing is within a factor of 2 of the finest, while they have the pixels.

    An axis is pooled while at least 4 pixels are left; the last axis alone only if 6 are. An axis
    takes part in convolutions (kernel 3, not 1) once its spacing is within a factor of 2 of the
    finest; at the bottleneck every axis does.
    """
    sizes, current = list(patch), list(spacing)
    kernel, divisor = [1, 1], [1, 1]
    kernel_sizes: list[Pair] = []
    strides: list[Pair] = [(1, 1)]
    while max_stages is None or len(strides) < max_stages:
        large = [axis for axis in (0, 1) if sizes[axis] >= 2 * MIN_FEATURE_EDGE]
        finest = min((current[axis] for axis in large), default=math.inf)
        pooled = [axis for axis in large if current[axis] < 2 * finest]
        if not pooled or (len(pooled) == 1 and sizes[pooled[0]] < 3 * MIN_FEATURE_EDGE):
            break
        kernel = [3 if kernel[i] == 3 or current[i] < 2 * min(current) else 1 for i in (0, 1)]
        kernel_sizes.append(_pair(kernel))
        for axis in pooled:
            sizes[axis] = math.ceil(sizes[axis] / 2)
            current[axis] *= 2
            divisor[axis] *= 2
        strides.append((2 if 0 in pooled else 1, 2 if 1 in pooled else 1))
    padded = [math.ceil(edge / step) * step for edge, step in zip(patch, divisor, strict=True)]
    return _Topology(_pair(padded), (*kernel_sizes, (3, 3)), tuple(strides), _pair(divisor))


def _reduced_patch(
    topology: _Topology,
    spacing: tuple[float, float],
    median_shape: Sequence[float],
    max_stages: int | None,
) -> Pair:
    """The next smaller patch: shorter by one step along the axis that exceeds the image most.

    The step is what pooling would demand of the shortened patch, as a whole step of the present
    one may skip a valid size (256 would go to 192, though 224 can be pooled five times).
    """
    patch = list(topology.patch_size)
    axis = 1 if patch[1] / median_shape[1] >= patch[0] / median_shape[0] else 0
    shortened = patch.copy()
    shortened[axis] -= topology.divisor[axis]
    patch[axis] -= _topology(spacing, shortened, max_stages).divisor[axis]
    return _pair(patch)


def _feature_values(patch_size: Pair, strides: Sequence[Pair], features: Sequence[int]) -> int:
    """Values in all feature maps of the U-Net for one image, nnU-Net's measure of memory.

    Per encoder stage its convolutions; per decoder stage its convolutions and the transposed
    convolution before them; and the class scores.

    Args:
        patch_size: (y, x) of the image.
        strides: of each stage, from the input downwards.
        features: feature maps of each stage.
    """
    rows, columns = patch_size
    sizes = []
    for down_y, down_x in strides:
        rows, columns = rows // down_y, columns // down_x
        sizes.append(rows * columns)
    stages = [size * width for size, width in zip(sizes, features, strict=True)]
    encoder = CONVOLUTIONS_PER_STAGE * sum(stages)
    decoder = (CONVOLUTIONS_PER_STAGE + 1) * sum(stages[:-1])
    return encoder + decoder + sizes[0] * N_CLASSES


def _tuple(value: Any) -> Any:
    """Lists of JSON as tuples, at any depth."""
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def _pair(values: Sequence[float]) -> Pair:
    first, second = values
    return int(first), int(second)
