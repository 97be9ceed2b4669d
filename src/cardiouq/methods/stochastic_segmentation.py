"""Stochastic segmentation networks (Monteiro et al., NeurIPS 2020, arXiv 2006.06015)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from cardiouq.methods.base import (
    BaseVariant,
    Block,
    SampledOutput,
    Style,
    Training,
    has_cross_entropy,
)
from cardiouq.methods.settings import setting
from cardiouq.recipes.loss import count_labels, cross_entropy, tversky_loss
from cardiouq.structures import N_CLASSES

if TYPE_CHECKING:
    from cardiouq.recipes.network import UNet

LEAST_VARIANCE = 1e-5


class StochasticSegmentation(nn.Module):
    """A U-Net with three heads that give a low-rank Gaussian over an image's logits.

    Its output is (batch, classes * (2 + rank), rows, columns): the mean, the diagonal of the
    covariance before its softplus, and the factor, all by class.
    """

    def __init__(self, unet: "UNet", rank: int) -> None:
        super().__init__()
        self.unet = unet
        self.spread = nn.Conv2d(unet.filters[0], N_CLASSES * (1 + rank), kernel_size=1)
        # little noise at the start, so that the mean is learnt first
        nn.init.normal_(self.spread.weight, std=0.01)
        nn.init.constant_(self.spread.bias, 0.0)  # type: ignore[arg-type]
        nn.init.constant_(self.spread.bias[:N_CLASSES], -5.0)  # type: ignore[index]

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """Parameters of the Gaussian."""
        features = self.unet.decode(self.unet.encode(images))[-1]
        output = torch.cat([self.unet.output_block(features), self.spread(features)], dim=1)
        return [output] if self.training else output


def sample_logits(output: Tensor, samples: int) -> Tensor:
    """Draws (samples, batch, classes, rows, columns) from the Gaussian over the logits of each
    image, N(mean, factor factor^T + diagonal).

    `torch.distributions.LowRankMultivariateNormal` draws the same; it factorises a matrix that only
    its density needs, and that a GPU waits for.

    Args:
        output: (batch, classes * (2 + rank), rows, columns).
        samples: how many.
    """
    mean, diagonal = output[:, :N_CLASSES], output[:, N_CLASSES : 2 * N_CLASSES]
    factor = output[:, 2 * N_CLASSES :].reshape(len(output), -1, mean[0].numel())
    common = output.new_empty(samples, *factor.shape[:2]).normal_()
    own = output.new_empty(samples, *mean.shape).normal_()
    shared = torch.einsum("sbr,brp->sbp", common, factor).view_as(own)
    return mean + shared + (softplus(diagonal) + LEAST_VARIANCE).sqrt() * own


@dataclass(frozen=True)
class Variant(BaseVariant):
    """Trained by the likelihood of the labels of a whole image, by Monte Carlo over its logits."""

    only_own_method = True

    rank: int = setting(10, minimum=1, help="of the covariance")
    samples: int = setting(20, minimum=1, help="of the logits, for the loss")

    def problems(self, recipe: Block) -> Iterator[str]:
        if not has_cross_entropy(recipe):
            yield "loss: stochastic_segmentation has a likelihood instead of other losses"

    def network(self, plain: "UNet") -> nn.Module:
        """The plain network with heads for the covariance."""
        return StochasticSegmentation(plain, self.rank)

    def loss(self, heads: Sequence[Tensor], labels: Tensor, training: Training) -> Tensor:
        """-log of the samples' mean likelihood per annotated pixel (Eq. 6), plus a Dice term.

        Without that term, of the mean's logits, few iterations learn no small structure; it is left
        out where the recipe's loss is cross-entropy alone.
        """
        [output] = heads
        counts = count_labels(labels)
        of_classes = sample_logits(output, self.samples).log_softmax(2) * counts
        pixels = counts.sum().clamp_min(1) / len(labels)  # as cross-entropy, of the batch as one
        likelihood = of_classes.sum((2, 3, 4)).logsumexp(0) - math.log(self.samples)
        loss = -(likelihood / pixels).mean()
        if training.plain_loss.head_loss is cross_entropy:
            return loss
        return loss + tversky_loss(output[:, :N_CLASSES], counts)

    def logits(self, output: Tensor) -> Tensor:
        return output[None, :, :N_CLASSES]


@dataclass(frozen=True)
class Method(SampledOutput):
    """Draws from the Gaussian over the logits, from one pass of the network."""

    usual_style = Style("#E6D46D", "H")
    needs_variant = "stochastic_segmentation"

    samples: int = setting(50, minimum=1, help="of the logits")

    def sampled_logits(self, output: Tensor) -> Iterator[Tensor]:
        """Draw the samples one after the other, as all of a volume would fill the memory."""
        for _ in range(self.samples):
            yield sample_logits(output, 1)[0]
