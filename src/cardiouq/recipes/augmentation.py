"""nnU-Net's augmentation of 2D images, image by image.

Kinds, probabilities and ranges are those of nnU-Net's text (Isensee et al., Nature Methods 2021,
supplementary note 4), which v2's default trainer has too. What it draws of noise and gamma is not
what the text says, and a recipe chooses. Of the code is not followed that v2 blurs rows and columns
apart, and that v1 scales below or above 1 with equal probability and interpolates by splines.

What is done to an image is decided on the host, so that only that is computed, and nothing waits
for the device.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cardiouq.device.choose import sent_to

BLUR_RADIUS = 4
"""Pixels; four standard deviations at the largest sigma."""


class Location(NamedTuple):
    """Where a patch lies in a slice."""

    image: Tensor
    """(rows, columns) float32."""
    labels: Tensor
    """(rows, columns) uint8."""
    centre: Sequence[int]
    """Row and column, between the pixels before it and that of this index."""


class Move(NamedTuple):
    """How a patch is turned, scaled, moved and mirrored."""

    angle: float
    """Radians."""
    zoom: float
    """Pixels of the slice to one of the patch."""
    shift: Sequence[float]
    """Pixels of the slice, down and right."""
    mirrored: Sequence[bool]
    """Rows, columns."""

    @property
    def is_on_grid(self) -> bool:
        """Whether the patch's pixels are pixels of the slice."""
        return self.angle == 0 and self.zoom == 1 and not any(self.shift)

    def affine(self, location: Location, patch_size: Sequence[int]) -> list[list[float]]:
        """(2, 3) from the patch's normalised coordinates (x, y) to the slice's."""
        cos, sin = self.zoom * math.cos(self.angle), self.zoom * math.sin(self.angle)
        height, width = (
            -size if mirrored else size
            for size, mirrored in zip(patch_size, self.mirrored, strict=True)
        )
        rows, columns = location.image.shape
        down, right = (
            middle + shift for middle, shift in zip(location.centre, self.shift, strict=True)
        )
        return [
            [cos * width / columns, -sin * height / columns, 2 * right / columns - 1],
            [sin * width / rows, cos * height / rows, 2 * down / rows - 1],
        ]


@dataclass(frozen=True)
class Augmentation:
    """What a recipe's `augmentation` block says; the schema has the meaning of each setting."""

    rotation_degrees: float
    scale: Sequence[float]
    mirror: bool
    translation_pixels: int
    probability: float
    intensities: bool | Literal["nnunet_code"]

    def __call__(
        self,
        locations: Sequence[Location],
        patch_size: Sequence[int],
        rng: np.random.Generator,
        noise: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Cut patches and augment them.

        Args:
            locations: of the patches, all on one device.
            patch_size: (rows, columns) of what is returned.
            rng: of what is decided.
            noise: generator of the noise in images, on their device.

        Returns:
            Images (batch, 1, rows, columns) float32 and labels of the same shape, uint8.
        """
        images, labels = moved(locations, [self._move(rng) for _ in locations], patch_size)
        if self.intensities:
            as_coded = self.intensities == "nnunet_code"
            images = [change_intensities(image, rng, noise, as_coded=as_coded) for image in images]
        return torch.stack(images)[:, None], torch.stack(labels)[:, None]

    def _move(self, rng: np.random.Generator) -> Move:
        """Draw how a patch is moved."""

        def chosen(probability: float) -> bool:
            return rng.random() < probability

        limit, reach = math.radians(self.rotation_degrees), self.translation_pixels
        return Move(
            angle=rng.uniform(-limit, limit) if chosen(self.probability) else 0.0,
            zoom=rng.uniform(self.scale[0], self.scale[1]) if chosen(self.probability) else 1.0,
            shift=[rng.uniform(-reach, reach) for _ in range(2)]
            if chosen(self.probability)
            else (0.0, 0.0),
            mirrored=[self.mirror and chosen(0.5) for _ in range(2)],
        )


def moved(
    locations: Sequence[Location], moves: Sequence[Move], patch_size: Sequence[int]
) -> tuple[list[Tensor], list[Tensor]]:
    """Patches (rows, columns) of images, bilinearly, and of labels, by the nearest one; 0, the mean
    intensity and background, beyond a slice."""
    affine = [
        move.affine(location, patch_size)
        for location, move in zip(locations, moves, strict=True)
        if not move.is_on_grid
    ]
    grids: Iterator[Tensor] = iter(())
    if affine:
        matrices = sent_to(locations[0].image.device, torch.tensor(affine))
        size = [len(affine), 1, *patch_size]
        grids = iter(functional.affine_grid(matrices, size, align_corners=False))
    images, labels = [], []
    for location, move in zip(locations, moves, strict=True):
        if move.is_on_grid:
            axes = [axis for axis, mirrored in enumerate(move.mirrored) if mirrored]
            image, label = (part.flip(axes) for part in cut_patch(location, patch_size))
        else:
            grid = next(grids)
            image = _sampled(location.image, grid, "bilinear")
            label = _sampled(location.labels.float(), grid, "nearest").to(torch.uint8)
        images.append(image)
        labels.append(label)
    return images, labels


def _sampled(image: Tensor, grid: Tensor, mode: str) -> Tensor:
    return functional.grid_sample(image[None, None], grid[None], mode=mode, align_corners=False)[
        0, 0
    ]


def cut_patch(location: Location, patch_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The patch's image and labels (rows, columns), not augmented; 0 beyond the slice."""
    first = [middle - size // 2 for middle, size in zip(location.centre, patch_size, strict=True)]
    extents = list(zip(first, patch_size, location.image.shape, strict=True))
    inside = tuple(slice(max(start, 0), start + size) for start, size, _ in extents)
    beyond = [(max(-start, 0), max(start + size - extent, 0)) for start, size, extent in extents]
    padding = [pixels for sides in reversed(beyond) for pixels in sides]
    image, labels = (functional.pad(part[inside], padding) for part in location[:2])
    return image, labels


def change_intensities(
    image: Tensor, rng: np.random.Generator, noise: torch.Generator, *, as_coded: bool = False
) -> Tensor:
    """nnU-Net's changes of an image that leave labels where they are, in its order and with its
    probabilities, per image and channel.

    Args:
        image: (rows, columns).
        rng: of what is decided.
        noise: generator of the noise, on the image's device.
        as_coded: noise and gamma are drawn as nnU-Net's code draws them (batchgenerators 0.25,
            batchgeneratorsv2 0.3), not as its text says.
    """
    if rng.random() < 0.1:
        drawn = rng.uniform(0.0, 0.1)  # the variance in the text, in the code the SD
        image = add_noise(image, drawn**2 if as_coded else drawn, noise)
    if rng.random() < 0.2 * 0.5:
        image = blur(image, rng.uniform(0.5, 1.0))
    if rng.random() < 0.15:
        image = image * rng.uniform(0.75, 1.25)
    if rng.random() < 0.15:
        image = scale_contrast(image, rng.uniform(0.75, 1.25))
    if rng.random() < 0.25 * 0.5:
        image = lower_resolution(image, rng.uniform(0.5, 1.0))
    if rng.random() < 0.1:
        image = -change_gamma(-image, _gamma(rng, as_coded))
    if rng.random() < 0.3:
        image = change_gamma(image, _gamma(rng, as_coded))
    return image


def _gamma(rng: np.random.Generator, as_coded: bool) -> float:
    """Draw a gamma from nnU-Net's range; in its code below or above 1 with equal probability."""
    low, high = 0.7, 1.5
    if as_coded:
        low, high = (low, 1.0) if rng.random() < 0.5 else (1.0, high)
    return rng.uniform(low, high)


def add_noise(image: Tensor, variance: float, noise: torch.Generator) -> Tensor:
    """Add Gaussian noise of a variance to an image."""
    return image + math.sqrt(variance) * torch.empty_like(image).normal_(generator=noise)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Blur by a Gaussian with an SD of `sigma` pixels; the edge's pixels go on beyond it."""
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(BLUR_RADIUS + 1)]
    total = 2 * sum(weights) - weights[0]
    for axis in (0, 1):
        size = image.shape[axis]
        sides = [0, 0, BLUR_RADIUS, BLUR_RADIUS] if axis == 0 else [BLUR_RADIUS, BLUR_RADIUS, 0, 0]
        padded = functional.pad(image[None, None], sides, mode="replicate")[0, 0]
        blurred = image * (weights[0] / total)
        for offset, weight in enumerate(weights[1:], start=1):
            for start in (BLUR_RADIUS - offset, BLUR_RADIUS + offset):
                blurred.add_(padded.narrow(axis, start, size), alpha=weight / total)
        image = blurred
    return image


def scale_contrast(image: Tensor, factor: float) -> Tensor:
    """Stretch about the mean within the old range."""
    mean = image.mean()
    return ((image - mean) * factor + mean).clamp(image.min(), image.max())


def lower_resolution(image: Tensor, factor: float) -> Tensor:
    """Sample down to a fraction of the size and back up."""
    small = [max(1, round(extent * factor)) for extent in image.shape]
    low = functional.interpolate(image[None, None], small, mode="nearest-exact")
    return functional.interpolate(low, image.shape, mode="bilinear")[0, 0]


def change_gamma(image: Tensor, gamma: float) -> Tensor:
    """Raise to a power on the image's own range, keeping mean and SD."""
    low, high = image.min(), image.max()
    width = (high - low).clamp_min(1e-7)
    curved = ((image - low) / width).clamp(0, 1) ** gamma * width + low
    deviation = image.std() / curved.std().clamp_min(1e-7)
    return (curved - curved.mean()) * deviation + image.mean()
