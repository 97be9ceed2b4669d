"""Prediction in nnU-Net's own order, step by step, so that its own segmentations come out.

Crop to what is not zero, z-score, cubic resampling, padding, tiles that overlap by half, the mean
of logits over mirrorings and tiles, linear resampling of logits, softmax, and back into the scan.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from cardiouq.data.plan import Plan
from cardiouq.data.preprocessing import nonzero_box, normalise, resample_image
from cardiouq.nnunet.model import TrainedModel
from cardiouq.recipes.network import TILES_AT_ONCE, mirrored
from cardiouq.structures import N_CLASSES

Network = Callable[[Tensor], Tensor]
Combination = Literal["probabilities", "logits"]
"""What the members' mean is taken of: probabilities as papers on uncertainty do, or logits as
nnU-Net does."""

THICK = 3.0
"""Ratio of a voxel's edges above which nnU-Net resamples slice by slice."""
GAUSSIAN_SD, GAUSSIAN_PEAK = 1 / 8, 10.0
"""Of the weights within a tile: SD in patches, and largest weight."""


@dataclass(frozen=True)
class Prepared:
    """A scan as the network sees it, and where it came from.

    Attributes:
        image: (slices, rows, columns) of the box, z-scored, on the plan's grid.
        box: place in the scan of what is not zero.
        shape: of the scan (slices, rows, columns).
    """

    image: NDArray[np.float32]
    box: tuple[slice, ...]
    shape: tuple[int, ...]


def prepare(scan: NDArray[np.float32], spacing: tuple[float, float, float], plan: Plan) -> Prepared:
    """Crop, normalise and resample a scan.

    Args:
        scan: (slices, rows, columns), in the scanner's arbitrary units.
        spacing: (z, y, x) in mm.
        plan: of the model.
    """
    box = nonzero_box(scan)
    image = normalise(scan[box])
    # in nnU-Net's order, which decides what a half is rounded to
    rows, columns = (
        round(edge / wanted * n)
        for edge, wanted, n in zip(spacing[1:], plan.spacing, image.shape[1:], strict=True)
    )
    is_thick = max(max(s) / min(s) for s in (spacing, (spacing[0], *plan.spacing))) > THICK
    axes = (1, 2) if is_thick else (0, 1, 2)
    lowest, highest = image.min(axes, keepdims=True), image.max(axes, keepdims=True)
    resampled = resample_image(image, (rows, columns)).clip(lowest, highest)
    return Prepared(resampled, box, scan.shape)


@torch.inference_mode()
def logits_of(
    network: Network, scan: Prepared, plan: Plan, mirroring: Sequence[int], device: torch.device
) -> Tensor:
    """Logits (slices, classes, rows, columns) float32 of a scan's box, on the scan's own grid.

    They are computed in full precision, on a GPU after `make_deterministic`, as PyTorch rounds
    convolutions to TF32 else; in bf16 probabilities are off by more than nnU-Net rounds.

    Args:
        network: from (batch, 1, rows, columns) to logits (batch, classes, rows, columns).
        scan: that `prepare` returned.
        plan: of the model.
        mirroring: axes of a slice; the mean is taken over all of their mirrorings.
        device: of the network.
    """
    slices = torch.from_numpy(scan.image)[:, None].to(device)
    padding = _padding(slices.shape[2:], plan.patch_size)
    blended = tiled(mirrored(network, mirroring), functional.pad(slices, padding), plan.patch_size)
    left, right, top, bottom = padding
    blended = blended[..., top : blended.shape[2] - bottom, left : blended.shape[3] - right]
    own = [edge.stop - edge.start for edge in scan.box[1:]]
    return functional.interpolate(blended, own, mode="bilinear")


def _padding(shape: Sequence[int], patch: Sequence[int]) -> tuple[int, int, int, int]:
    """Zeros left, right, above and below that make a slice as large as a patch."""
    missing = [max(edge - n, 0) for n, edge in zip(shape, patch, strict=True)]
    rows, columns = ((n // 2, n - n // 2) for n in missing)
    return (*columns, *rows)


def tiled(network: Network, slices: Tensor, patch: Sequence[int]) -> Tensor:
    """A network's logits of whole slices, blended where tiles overlap.

    Args:
        network: from (batch, 1, rows, columns) to logits (batch, classes, rows, columns).
        slices: (slices, 1, rows, columns), at least as large as a patch.
        patch: rows and columns of a tile.

    Returns:
        (slices, classes, rows, columns) float32.
    """
    weight = _weight(patch).to(slices.device)
    parts = []
    for batch in torch.split(slices, TILES_AT_ONCE):
        total, weights = torch.zeros(()), slices.new_zeros(slices.shape[2:])
        for place in _places(slices.shape[2:], patch):
            logits = network(batch[(..., *place)]).float()
            if not total.ndim:
                total = logits.new_zeros(*logits.shape[:2], *slices.shape[2:])
            total[(..., *place)] += weight * logits
            weights[place] += weight
        parts.append(total / weights)
    return torch.cat(parts)


def _places(shape: Sequence[int], patch: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each tile of a slice."""
    starts = [_starts(n, edge) for n, edge in zip(shape, patch, strict=True)]
    for top, left in product(*starts):
        yield slice(top, top + patch[0]), slice(left, left + patch[1])


def _starts(size: int, patch: int) -> list[int]:
    """First pixels of tiles along an axis, half a patch apart or less, up to its end."""
    tiles = ceil((size - patch) / (patch / 2)) + 1
    return [round(tile * (size - patch) / max(tiles - 1, 1)) for tile in range(tiles)]


def _weight(patch: Sequence[int]) -> Tensor:
    """Weight of each pixel of a tile: a Gaussian about its centre, nowhere zero."""
    centre = np.zeros(patch)
    centre[tuple(edge // 2 for edge in patch)] = 1
    weight = gaussian_filter(centre, [edge * GAUSSIAN_SD for edge in patch], mode="constant")
    weight *= GAUSSIAN_PEAK / weight.max()
    weight[weight == 0] = weight[weight > 0].min()
    return torch.from_numpy(weight.astype(np.float32))


@torch.inference_mode()
def in_scan(logits: Tensor, scan: Prepared) -> Tensor:
    """Probabilities (classes, slices, rows, columns) of the whole scan, background beyond its box.

    Args:
        logits: (slices, classes, rows, columns) that `logits_of` returned.
        scan: that they are of.
    """
    values = logits.softmax(1).transpose(0, 1)
    whole = values.new_zeros(len(values), *scan.shape)
    whole[0] = 1
    whole[(slice(None), *scan.box)] = values
    return whole


@dataclass(frozen=True)
class SeenScan:
    """A scan as a model's networks see it, and its probabilities of a study's classes.

    Attributes:
        scan: that `prepare` returned.
        plan: of the model.
        mirroring: axes of a slice; the mean is taken over all of their mirrorings.
        classes: of the study, one for each of the model's; the probabilities of several that are
            one class add up.
        device: of the networks.
    """

    scan: Prepared
    plan: Plan
    mirroring: Sequence[int]
    classes: Sequence[int]
    device: torch.device

    def output(self, network: Network) -> Tensor:
        """Logits (slices, the model's classes, rows, columns) of the scan's box."""
        return logits_of(network, self.scan, self.plan, self.mirroring, self.device)

    @torch.inference_mode()
    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities (the study's classes, slices, rows, columns) float32 of the whole scan."""
        return in_classes(in_scan(logits, self.scan), self.classes)


def in_classes(probabilities: Tensor, classes: Sequence[int]) -> Tensor:
    """Probabilities of the study's classes: those of a model's labels, added up.

    Args:
        probabilities: (the model's labels, ...).
        classes: of the study, one for each label.
    """
    of_study = probabilities.new_zeros(N_CLASSES, *probabilities.shape[1:])
    for of_model, one_class in zip(probabilities, classes, strict=True):
        of_study[one_class] += of_model
    return of_study


def predict_scan(
    model: TrainedModel,
    networks: Iterable[Network],
    scan: NDArray[np.float32],
    spacing: tuple[float, float, float],
    device: torch.device,
    *,
    mirrored: bool = True,
    mean_of: Combination = "probabilities",
) -> Tensor:
    """Probabilities (classes, slices, rows, columns) float32 of a scan, by all members together.

    Call `make_deterministic` once before; see `logits_of`.

    Args:
        model: that the networks are of.
        networks: of its members.
        scan: (slices, rows, columns), in the scanner's arbitrary units.
        spacing: (z, y, x) in mm.
        device: of the networks.
        mirrored: whether to take the mean over mirror images, as nnU-Net does if it may.
        mean_of: what the members' mean is taken of.
    """
    prepared = prepare(scan, spacing, model.plan)
    axes = model.mirroring if mirrored else ()
    total, members = torch.zeros(()), 0
    for network in networks:
        logits = logits_of(network, prepared, model.plan, axes, device)
        total = total + (logits if mean_of == "logits" else in_scan(logits, prepared))
        members += 1
    mean = total / members
    return in_scan(mean, prepared) if mean_of == "logits" else mean
