"""Test-time augmentation (Wang et al., Neurocomputing 2019, doi 10.1016/j.neucom.2019.01.103)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from cardiouq.methods.base import BaseMethod, Draw, Fitted, Sample, Schema, TrainedRun


@dataclass(frozen=True)
class Method(BaseMethod):
    """Passes of one network over images that are turned, scaled, mirrored and noised at random; the
    logits are brought back. Ranges should be those of the recipe's augmentation at most."""

    schema: ClassVar[Schema] = {
        "passes": {"type": "integer", "minimum": 1},
        "rotation_degrees": {"type": "number", "minimum": 0, "maximum": 180},
        "scale": {
            "type": "array",
            "items": {"type": "number", "exclusiveMinimum": 0},
            "minItems": 2,
            "maxItems": 2,
        },
        "mirror": {"type": "boolean"},
        "noise_sd": {"type": "number", "minimum": 0},
    }

    passes: int = 20
    rotation_degrees: float = 15.0
    scale: Sequence[float] = (0.9, 1.1)
    mirror: bool = False
    noise_sd: float = 0.05
    """Of Gaussian noise, where the image's own SD is 1."""

    def draws(self, runs: Sequence[TrainedRun], schedule: Any, fitted: Fitted) -> Iterator[Draw]:
        """All passes of a run at once."""
        for run in runs:
            epoch = schedule.epochs - 1
            samples = [Sample(run.member, epoch)] * self.passes
            yield Draw(samples, partial(self.passes_of, run.network(epoch)))

    def passes_of(self, network: Any, images: Tensor) -> Tensor:
        """Logits of every pass, (batch, passes * classes, rows, columns)."""
        return torch.cat([self.augmented(network, images) for _ in range(self.passes)], dim=1)

    def augmented(self, network: Any, images: Tensor) -> Tensor:
        """Logits of one random transformation of images (batch, 1, rows, columns)."""
        there, back = self._transformation(images)
        noise = self.noise_sd * torch.randn_like(images)
        return _resample(network(_resample(images, there) + noise), back)

    def _transformation(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """An affine map of pixel coordinates, (2, 2), and its inverse; the same for the batch."""
        limit = math.radians(self.rotation_degrees)
        angle = torch.empty(()).uniform_(-limit, limit)
        zoom = torch.empty(()).uniform_(*self.scale)
        signs = 1 - 2.0 * torch.randint(0, 2, (2,)) if self.mirror else torch.ones(2)
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
        there = (zoom * turn * signs).to(images)
        return there, torch.linalg.inv(there)


def _resample(images: Tensor, pixels: Tensor) -> Tensor:
    """Images at the places that a map (2, 2) of (x, y) in pixels about the centre sends each pixel
    to; the edge goes on outside."""
    if torch.equal(pixels, torch.eye(2).to(pixels)):
        return images
    rows, columns = images.shape[2:]
    extent = torch.tensor([columns, rows]).to(pixels)
    normalised = pixels * extent / extent[:, None]
    affine = functional.pad(normalised, (0, 1)).expand(len(images), 2, 3)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
