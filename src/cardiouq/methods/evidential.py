"""Evidential segmentation (Sensoy et al., NeurIPS 2018, arXiv 1806.01768).

As Zou et al. have it for images (TBraTS, MICCAI 2022, arXiv 2206.09309).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Dirichlet

from cardiouq.methods.base import (
    BaseVariant,
    Block,
    SampledOutput,
    Style,
    Training,
    has_cross_entropy,
)
from cardiouq.methods.settings import setting
from cardiouq.recipes.loss import cross_entropy, tversky_loss
from cardiouq.structures import N_CLASSES

MOST_EVIDENCE = 10.0
"""Its logarithm, so that nothing overflows."""
ROUNDS = 5
"""Of iterative proportional fitting of samples to their mean."""


def concentration(output: Tensor) -> Tensor:
    """Parameters of each pixel's Dirichlet distribution: the evidence for each class, and 1.

    Evidence is the exponential of the output. Where it grows as the output itself, as softplus
    does, hundreds of iterations bring no more than a tenth of what a sure prediction needs.

    Args:
        output: of the network, (batch, classes, rows, columns).
    """
    return output.clamp_max(MOST_EVIDENCE).exp() + 1


def expected_cross_entropy(alpha: Tensor, counts: Tensor) -> Tensor:
    """Cross-entropy that probabilities of the Dirichlet have on average (Sensoy et al., Eq. 4).

    Mean over annotated pixels; 0 if there are none.

    Args:
        alpha: of the Dirichlet, (batch, classes, rows, columns).
        counts: of labels, the same shape.
    """
    surprise = alpha.sum(1, keepdim=True).digamma() - alpha.digamma()
    return (counts * surprise).sum() / counts.sum().clamp_min(1)


def misleading_evidence(alpha: Tensor, counts: Tensor) -> Tensor:
    """KL divergence from the uniform Dirichlet without the evidence for the true class, in nats.

    Mean over annotated pixels; 0 if there are none. A cell of a lower head, which covers pixels of
    several classes, has a divergence for each of these. `torch.distributions.kl_divergence` gives
    the same from the parameters without each class's evidence in turn, in several times the time.

    Args:
        alpha: of the Dirichlet, (batch, classes, rows, columns).
        counts: of labels, the same shape.
    """
    of_class = (alpha - 1) * alpha.digamma() - alpha.lgamma()
    of_others = of_class.sum(1, keepdim=True) - of_class
    strength = alpha.sum(1, keepdim=True) - alpha + 1  # without the class's evidence
    of_strength = strength.lgamma() - (strength - N_CLASSES) * strength.digamma()
    divergence = of_others + of_strength - math.lgamma(N_CLASSES)
    return (counts * divergence).sum() / counts.sum().clamp_min(1)


def sample_evidence(alpha: Tensor, samples: int) -> Tensor:
    """Draw probabilities from each pixel's Dirichlet, times its strength, the sum of alpha.

    The mean of the draws is alpha, whatever is drawn, so that a segmentation has no Monte-Carlo
    noise. Iterative proportional fitting brings them close to it: each class is scaled to its mean,
    then each sample to its sum. Of what is left, all samples give the same share, the largest that
    any class has too much, and are given what the mean then lacks.

    Args:
        alpha: of the Dirichlet, (batch, classes, rows, columns).
        samples: how many.

    Returns:
        (samples, batch, classes, rows, columns) float32.
    """
    wanted = alpha.movedim(1, -1)
    strength = wanted.sum(-1, keepdim=True)
    drawn = strength * Dirichlet(wanted, validate_args=False).sample(torch.Size([samples]))
    for _ in range(ROUNDS):
        drawn *= wanted / drawn.mean(0)
        drawn *= strength / drawn.sum(-1, keepdim=True)
    mean = drawn.mean(0)
    kept = (wanted / mean).amin(-1, keepdim=True)
    return (kept * drawn + (wanted - kept * mean).clamp_min(0)).movedim(-1, 2)


@dataclass(frozen=True)
class Variant(BaseVariant):
    """Trained by the loss that is expected under the Dirichlet, and against misleading evidence."""

    only_own_method = True

    kl_weight: float = setting(
        0.1,
        minimum=0,
        help="of the KL term against misleading evidence; **ambiguity**: 1 as published",
    )
    annealing: float = setting(
        0.25,
        exclusiveMinimum=0,
        maximum=1,
        help="share of the epochs in which that weight rises from 0",
    )

    def problems(self, recipe: Block) -> Iterator[str]:
        if not has_cross_entropy(recipe):
            yield "loss: evidential has an expected cross-entropy instead of other losses"

    def loss(self, heads: Sequence[Tensor], labels: Tensor, training: Training) -> Tensor:
        """Expected cross-entropy, KL term and Dice of the Dirichlet's mean.

        The last is left out where the recipe's loss is cross-entropy alone.
        """
        kl_weight = self.kl_weight * (training.progress / self.annealing).clamp_max(1)
        has_dice = training.plain_loss.head_loss is not cross_entropy

        def loss_of(output: Tensor, counts: Tensor) -> Tensor:
            alpha = concentration(output)
            loss = expected_cross_entropy(alpha, counts)
            loss = loss + kl_weight * misleading_evidence(alpha, counts)
            return loss + tversky_loss(alpha.log(), counts) if has_dice else loss

        loss: Tensor = training.plain_loss(heads, labels, loss_of)
        return loss

    def logits(self, output: Tensor) -> Tensor:
        return concentration(output).log()[None]


@dataclass(frozen=True)
class Method(SampledOutput):
    """Draws from the Dirichlet of each pixel, from one pass of the network.

    Their logits are those of evidence, so that the energy is -log of the Dirichlet's strength.
    """

    usual_style = Style("#694BD2", "|")
    needs_variant = "evidential"

    samples: int = setting(
        10, minimum=1, help="of the probabilities; their mean is the Dirichlet's"
    )

    def sampled_logits(self, output: Tensor) -> Iterator[Tensor]:
        """All samples of a volume at once, as their mean is that of all."""
        yield from sample_evidence(concentration(output), self.samples).log()
