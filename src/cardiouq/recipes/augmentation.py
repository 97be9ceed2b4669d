"""nnU-Net's augmentation of 2D images, done on whole batches.

Kinds, probabilities and ranges are those of nnU-Net v2's default trainer (Isensee et al., Nature
Methods 2021, supplementary note 4). Every sample of a batch draws for itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

BLUR_RADIUS = 4
"""Pixels; four standard deviations at the largest sigma."""


@dataclass(frozen=True)
class Augmentation:
    """What a recipe's `augmentation` block says; the schema has the meaning of each setting."""

    rotation_degrees: float
    scale: Sequence[float]
    mirror: bool
    translation_pixels: int
    probability: float
    intensities: bool

    def window(self, patch_size: tuple[int, int]) -> int:
        """Side of the square window that holds the patch under every move, rotation and scale."""
        side = math.ceil(math.hypot(*patch_size) * max(self.scale[1], 1.0))
        side += 2 * self.translation_pixels
        return side + side % 2  # even, as patches are: their pixels then lie on the window's

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        patch_size: tuple[int, int],
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Augment windows and cut the patches out of them.

        Args:
            images: (batch, 1, window, window) float32.
            labels: (batch, 1, window, window) uint8.
            patch_size: (rows, columns) of what is returned.
            generator: on the tensors' device; the only source of randomness.

        Returns:
            Images (batch, 1, rows, columns) float32 and labels of the same shape, uint8.
        """
        images, labels = self._place(images, labels, patch_size, generator)
        if self.intensities:
            images = change_intensities(images, generator)
        if self.mirror:
            for axis in (2, 3):
                flip = _chosen(images, generator, 0.5)
                images = torch.where(flip, images.flip(axis), images)
                labels = torch.where(flip, labels.flip(axis), labels)
        return images, labels

    def _place(
        self,
        images: Tensor,
        labels: Tensor,
        patch_size: tuple[int, int],
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Rotate, scale and move, each with a probability of its own, and cut out the patch."""
        n = len(images)
        limit = math.radians(self.rotation_degrees)
        angle = _uniform(images, generator, -limit, limit) * _chosen(
            images, generator, self.probability
        )
        zoomed = _chosen(images, generator, self.probability)
        zoom = torch.where(zoomed, _uniform(images, generator, *self.scale), 1.0)
        angle, zoom = angle.view(n), zoom.view(n)
        cos, sin = zoom * angle.cos(), zoom * angle.sin()
        rows, columns = (size / images.shape[-1] for size in patch_size)
        right = down = torch.zeros_like(cos)
        if self.translation_pixels:
            # normalised coordinates: the window is 2 wide
            limit = 2 * self.translation_pixels / images.shape[-1]
            moved = _chosen(images, generator, self.probability)
            right, down = (
                (_uniform(images, generator, -limit, limit) * moved).view(n) for _ in range(2)
            )
        # maps the patch's normalised coordinates (x, y) to the window's
        affine = torch.stack(
            [cos * columns, -sin * rows, right, sin * columns, cos * rows, down], dim=1
        ).view(n, 2, 3)
        grid = functional.affine_grid(affine, [n, 1, *patch_size], align_corners=False)
        placed = functional.grid_sample(images, grid, mode="bilinear", align_corners=False)
        placed_labels = functional.grid_sample(
            labels.to(images.dtype), grid, mode="nearest", align_corners=False
        )
        return placed, placed_labels.to(labels.dtype)


def change_intensities(images: Tensor, generator: torch.Generator) -> Tensor:
    """nnU-Net's changes that leave labels where they are, in its order."""
    images = add_noise(images, generator)
    images = blur(images, generator)
    images = scale_brightness(images, generator)
    images = scale_contrast(images, generator)
    images = lower_resolution(images, generator)
    images = change_gamma(images, generator, probability=0.1, invert=True)
    return change_gamma(images, generator, probability=0.3, invert=False)


def cut_patch(window: Tensor, patch_size: tuple[int, int]) -> Tensor:
    """The centre of (batch, 1, window, window), without augmentation."""
    rows, columns = ((window.shape[-1] - size) // 2 for size in patch_size)
    return window[..., rows : rows + patch_size[0], columns : columns + patch_size[1]]


def add_noise(images: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise of variance 0 to 0.1, probability 0.1."""
    deviation = _uniform(images, generator, 0.0, 0.1).sqrt() * _chosen(images, generator, 0.1)
    noise = torch.empty_like(images).normal_(generator=generator)
    return images + noise * deviation


def blur(images: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian blur with sigma 0.5 to 1 pixel, probability 0.2 x 0.5 (per image and channel)."""
    sigma = _uniform(images, generator, 0.5, 1.0)
    chosen = _chosen(images, generator, 0.1).view(-1)
    if not chosen.any():
        return images
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma[chosen].view(-1, 1)) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    picked = images[chosen].transpose(0, 1)
    padded = functional.pad(picked, [BLUR_RADIUS] * 4, mode="replicate")
    groups = len(kernel)
    padded = functional.conv2d(padded, kernel[:, None, :, None], groups=groups)
    padded = functional.conv2d(padded, kernel[:, None, None, :], groups=groups)
    images = images.clone()
    images[chosen] = padded.transpose(0, 1)
    return images


def scale_brightness(images: Tensor, generator: torch.Generator) -> Tensor:
    """Multiply by 0.75 to 1.25, probability 0.15."""
    factor = _uniform(images, generator, 0.75, 1.25)
    return torch.where(_chosen(images, generator, 0.15), images * factor, images)


def scale_contrast(images: Tensor, generator: torch.Generator) -> Tensor:
    """Stretch about the mean by 0.75 to 1.25 within the old range, probability 0.15."""
    factor = _uniform(images, generator, 0.75, 1.25)
    mean = images.mean((1, 2, 3), keepdim=True)
    low, high = _range(images)
    changed = ((images - mean) * factor + mean).clamp(low, high)
    return torch.where(_chosen(images, generator, 0.15), changed, images)


def lower_resolution(images: Tensor, generator: torch.Generator) -> Tensor:
    """Sample down to 0.5 to 1 of the size and back up, probability 0.25 x 0.5."""
    factors = _uniform(images, generator, 0.5, 1.0).view(-1).tolist()
    chosen = _chosen(images, generator, 0.125).view(-1).tolist()
    size = images.shape[2:]
    changed = list(torch.split(images, 1))
    for index, (picked, factor) in enumerate(zip(chosen, factors, strict=True)):
        if picked:
            small = [max(1, round(extent * factor)) for extent in size]
            low = functional.interpolate(changed[index], small, mode="nearest-exact")
            changed[index] = functional.interpolate(low, size, mode="bilinear")
    return torch.cat(changed)


def change_gamma(
    images: Tensor, generator: torch.Generator, probability: float, invert: bool
) -> Tensor:
    """Gamma of 0.7 to 1.5 on the image's own range or its negative's, keeping mean and SD."""
    gamma = _uniform(images, generator, 0.7, 1.5)
    source = -images if invert else images
    low, high = _range(source)
    width = (high - low).clamp_min(1e-7)
    curved = ((source - low) / width).clamp(0, 1) ** gamma * width + low
    mean, deviation = _moments(source)
    curved_mean, curved_deviation = _moments(curved)
    curved = (curved - curved_mean) / curved_deviation.clamp_min(1e-7) * deviation + mean
    return torch.where(
        _chosen(images, generator, probability), -curved if invert else curved, images
    )


def _uniform(like: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """One number per sample, (batch, 1, 1, 1)."""
    return torch.empty(len(like), 1, 1, 1, device=like.device).uniform_(
        low, high, generator=generator
    )


def _chosen(like: Tensor, generator: torch.Generator, probability: float) -> Tensor:
    """One decision per sample, (batch, 1, 1, 1) bool."""
    return _uniform(like, generator, 0.0, 1.0) < probability


def _range(images: Tensor) -> tuple[Tensor, Tensor]:
    return images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)


def _moments(images: Tensor) -> tuple[Tensor, Tensor]:
    return images.mean((1, 2, 3), keepdim=True), images.std((1, 2, 3), keepdim=True)
