"""Layer Ensembles (Kushibar et al., MICCAI 2022, arXiv 2203.08878)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cardiouq.errors import CardiouqError
from cardiouq.methods.base import (
    BaseMethod,
    BaseVariant,
    Block,
    Draw,
    Fitted,
    Runs,
    Sample,
    Style,
    Training,
    split_classes,
)
from cardiouq.methods.settings import setting
from cardiouq.recipes.loss import count_labels, tversky_loss
from cardiouq.recipes.schedule import Schedule
from cardiouq.structures import N_CLASSES

if TYPE_CHECKING:
    from cardiouq.data.plan import Plan
    from cardiouq.recipes.network import UNet


class LayerEnsemble(nn.Module):
    """A U-Net with a segmentation head (convolution 3 x 3, bilinear upsampling) on every stage.

    Its output is (batch, heads * classes, rows, columns): the stages of the encoder from the input
    down, those of the decoder up again, the network's own output last.
    """

    def __init__(self, unet: "UNet") -> None:
        super().__init__()
        self.unet = unet
        widths = [*unet.filters, *reversed(unet.filters[:-1])]
        self.heads = nn.ModuleList(
            nn.Conv2d(width, N_CLASSES, kernel_size=3, padding=1) for width in widths
        )

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """Logits of every head."""
        encoded = self.unet.encode(images)
        decoded = self.unet.decode(encoded)
        logits = [
            upsampled(head(features), images.shape[2:])
            for head, features in zip(self.heads, [*encoded, *decoded], strict=True)
        ]
        logits.append(self.unet.output_block(decoded[-1]))
        return logits if self.training else torch.cat(logits, dim=1)


def upsampled(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Logits (batch, classes, rows, columns) in float32 at another size, bilinearly.

    `torch.nn.functional.interpolate` is the same function, but on a GPU the gradient of a coarse
    head is there a sum of thousands of numbers in bf16, in any order, wrong by tens of percent.
    """
    with torch.autocast(logits.device.type, enabled=False):
        rows, columns = (
            interpolation_matrix(there, here, logits.device)
            for there, here in zip(logits.shape[2:], size, strict=True)
        )
        return rows @ logits.float() @ columns.T


def interpolation_matrix(there: int, here: int, device: torch.device) -> Tensor:
    """(here, there) weights by which linear interpolation brings `there` pixels to `here`."""
    return interpolate(torch.eye(there, device=device)[None], here, mode="linear")[0].T


@dataclass(frozen=True)
class Variant(BaseVariant):
    """Heads on every stage, trained by the sum of their multi-class soft Dice losses."""

    only_own_method = True

    def problems(self, recipe: Block) -> Iterator[str]:
        for key in ("loss", "deep_supervision"):
            if key in recipe:
                yield f"{key}: layer_ensemble trains every head by soft Dice"

    def network(self, plain: "UNet") -> nn.Module:
        """The plain network with heads."""
        return LayerEnsemble(plain)

    def loss(self, heads: Sequence[Tensor], labels: Tensor, training: Training) -> Tensor:
        """Sum of the heads' soft Dice losses."""
        counts = count_labels(labels)
        losses = [tversky_loss(logits, counts) for logits in heads]
        return torch.stack(losses).sum()

    def logits(self, output: Tensor) -> Tensor:
        return torch.stack(list(split_classes(output)))


@dataclass(frozen=True)
class Method(BaseMethod):
    """The heads of one network from shallow to deep, all in one pass, but the first few."""

    usual_style = Style("#7130F2", "+")
    needs_variant = "layer_ensemble"

    skip: int = setting(
        5,
        minimum=0,
        help="heads left out, from the input on; 5 is kushibar2022's of ten, and a network of n"
        " stages has 2 n",
    )

    def problems(self, recipe: Block, plan: Block) -> Iterator[str]:
        """Heads of which none is left; the plan may turn out to have fewer stages than it may."""
        stages = plan["max_stages"]
        if stages is not None and self.skip >= 2 * stages:
            yield (
                f"`skip` is {self.skip}; expected {2 * stages - 1} at most, as networks of at most "
                f"{stages} stages (`plan.max_stages`) have {2 * stages} heads"
            )

    def sample_count(self, schedule: Schedule, plan: "Plan") -> int:
        """One for each head that is not left out.

        At least 1, as a guessed plan may have fewer stages; `draws` says what is wrong.
        """
        return max(2 * plan.n_stages - self.skip, 1)

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """One draw with a sample per head.

        Raises:
            CardiouqError: if `skip` leaves no head.
        """
        for run in runs:
            epoch = schedule.epochs - 1
            network = cast(LayerEnsemble, run.network(epoch))
            heads = len(network.heads) + 1
            if self.skip >= heads:
                raise CardiouqError(
                    f"layer_ensemble: skip {self.skip} leaves none of the network's {heads} heads; "
                    f"set skip to {heads - 1} at most"
                )
            yield Draw(
                [Sample(run.member, epoch)] * (heads - self.skip),
                network,
                lambda output: list(split_classes(output))[self.skip :],
            )
