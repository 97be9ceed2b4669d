"""Test-time augmentation (Wang et al., Neurocomputing 2019, doi 10.1016/j.neucom.2019.01.103)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from cardiouq.methods.base import BaseMethod, Draw, Fitted, Runs, Sample, Style
from cardiouq.methods.settings import setting
from cardiouq.recipes.schedule import Schedule
from cardiouq.seeds import derive


@dataclass(frozen=True)
class Method(BaseMethod):
    """Passes of one network over images that are turned, scaled, mirrored and noised at random.

    The logits are brought back. A pass turns, scales and mirrors all tiles of a volume alike, each
    about its own centre. Ranges should be those of the recipe's augmentation at most.
    """

    usual_style = Style("#4C1908", "h")

    passes: int = setting(20, minimum=1, help="each moves a volume in a way of its own")
    rotation_degrees: float = setting(15.0, minimum=0, maximum=180, help="to either side at most")
    scale: Sequence[float] = setting(
        (0.9, 1.1),
        items={"type": "number", "exclusiveMinimum": 0},
        minItems=2,
        maxItems=2,
        help="smallest and largest factor",
    )
    mirror: bool = setting(False, help="whether rows and columns are flipped")
    noise_sd: float = setting(
        0.05, minimum=0, help="of Gaussian noise, where the image's own SD is 1"
    )

    def __post_init__(self) -> None:
        low, high = self.scale
        if low > high:
            raise ValueError(f"scale [{low}, {high}] goes down; expected the smaller number first")

    def network_passes(self, schedule: Schedule) -> int:
        return self.passes

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """All passes of a run at once."""
        for run in runs:
            epoch = schedule.epochs - 1
            samples = [Sample(run.member, epoch)] * self.passes
            yield Draw(samples, partial(self.passes_of, run.network(epoch)))

    def passes_of(self, network: nn.Module, images: Tensor) -> Tensor:
        """Logits of every pass, (batch, passes * classes, rows, columns)."""
        passes = [self.augmented(network, images, move) for move in self.transformations()]
        return torch.cat(passes, dim=1)

    def transformations(self) -> list[Tensor]:
        """An affine map of pixel coordinates, (2, 2), for each pass.

        They are drawn anew from the seed that torch was given last, which is the case's, so that
        they are the same however many calls of the network a volume takes.
        """
        generator = torch.Generator().manual_seed(derive(torch.initial_seed(), "transformations"))
        return [self._transformation(generator) for _ in range(self.passes)]

    def augmented(self, network: nn.Module, images: Tensor, move: Tensor) -> Tensor:
        """Logits of images (batch, 1, rows, columns) that are moved by a map, and then noised."""
        move = move.to(images)
        noise = self.noise_sd * torch.randn_like(images)
        logits: Tensor = network(_resample(images, move) + noise)
        return _resample(logits, torch.linalg.inv(move))

    def _transformation(self, generator: torch.Generator) -> Tensor:
        """A random affine map of pixel coordinates, (2, 2)."""
        limit = math.radians(self.rotation_degrees)
        angle = torch.empty(()).uniform_(-limit, limit, generator=generator)
        zoom = torch.empty(()).uniform_(*self.scale, generator=generator)
        signs = torch.ones(2)
        if self.mirror:
            signs -= 2 * torch.randint(0, 2, (2,), generator=generator)
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
        return zoom * turn * signs


def _resample(images: Tensor, pixels: Tensor) -> Tensor:
    """Images in float32 at the places that a map sends each pixel to; the edge goes on outside.

    In bf16, in which networks predict, a coordinate is off by up to a pixel.

    Args:
        images: (batch, channels, rows, columns).
        pixels: the map (2, 2) of (x, y), in pixels about the centre.
    """
    if torch.equal(pixels, torch.eye(2).to(pixels)):
        return images
    rows, columns = images.shape[2:]
    extent = torch.tensor([columns, rows]).to(pixels)
    normalised = pixels * extent / extent[:, None]
    affine = functional.pad(normalised, (0, 1)).expand(len(images), 2, 3)
    with torch.autocast(images.device.type, enabled=False):
        grid = functional.affine_grid(affine.float(), list(images.shape), align_corners=False)
        return functional.grid_sample(
            images.float(), grid, padding_mode="border", align_corners=False
        )
