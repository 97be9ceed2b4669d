"""nnU-Net's loss: Dice + cross-entropy with deep supervision, each head at its own resolution.

MONAI's `DynUNet` brings the logits of lower heads to full resolution, nearest neighbour by nearest
neighbour, and its `DiceCELoss` would then see the same logits many times. Here a cell of a head's
grid is seen once, with the counts of the labels that it covers: the same sums, without copies of
full size (the tests hold it against MONAI's).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cardiouq.structures import N_CLASSES

HeadLoss = Callable[[Tensor, Tensor], Tensor]
"""Loss of one head: logits (batch, classes, rows, columns), and the counts of `count_labels`."""

SMOOTHING = 0.5e-5
"""Pixels added to an overlap's numerator and denominator: half of nnU-Net's constant for Dice, in
which every count stands twice."""
ACE_BINS = 20
"""Bins of probability of mL1-ACE, equally wide, as published."""


def count_labels(labels: Tensor) -> Tensor:
    """Count the pixels of each class: 1 for a pixel's own, none where it is `IGNORED`.

    Args:
        labels: (batch, 1, rows, columns).

    Returns:
        (batch, classes, rows, columns) float32.
    """
    classes = torch.arange(N_CLASSES, dtype=labels.dtype, device=labels.device)
    return (labels == classes.view(1, -1, 1, 1)).float()


def cross_entropy(logits: Tensor, counts: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy, mean over annotated pixels; 0 if there are none.

    Args:
        logits: (batch, classes, rows, columns).
        counts: of labels, the same shape.
        weights: (classes,) factors of each class's pixels, which do not change by how much the sum
            is divided.
    """
    weighted = counts if weights is None else counts * weights.view(1, -1, 1, 1)
    return -(weighted * logits.log_softmax(1)).sum() / counts.sum().clamp_min(1)


def tversky_loss(
    logits: Tensor, counts: Tensor, false_positives: float = 0.5, false_negatives: float = 0.5
) -> Tensor:
    """Soft Tversky loss: 1 - TP / (TP + a FP + b FN), mean over structures; 0.5 each is Dice.

    The batch counts as one image, as in nnU-Net's 2D setting. It is 0 if nothing is annotated.

    Args:
        logits: (batch, classes, rows, columns).
        counts: of labels, the same shape.
        false_positives: a.
        false_negatives: b.
    """
    covered = counts.sum(1, keepdim=True)
    probability = logits.softmax(1)
    found, predicted, true = (
        each[:, 1:].sum((0, 2, 3)) for each in (probability * counts, probability * covered, counts)
    )
    errors = false_positives * (predicted - found) + false_negatives * (true - found)
    return 1 - ((found + SMOOTHING) / (found + errors + SMOOTHING)).mean()


def dice_and_cross_entropy(logits: Tensor, counts: Tensor) -> Tensor:
    """nnU-Net's loss of one head."""
    return tversky_loss(logits, counts) + cross_entropy(logits, counts)


def neighbour_distance(logits: Tensor, counts: Tensor) -> Tensor:
    """Distance of logits from the shares of the classes among a pixel and its eight neighbours.

    It is the mean over classes and annotated pixels. What nobody annotated and what lies beyond the
    border is of no class, as in MONAI's `NACLLoss`.

    Args:
        logits: (batch, classes, rows, columns).
        counts: of labels, the same shape.
    """
    covered = counts.sum(1, keepdim=True)
    shares = functional.avg_pool2d(counts / covered.clamp_min(1), 3, stride=1, padding=1)
    distance = (logits - shares).abs().mean(1, keepdim=True)
    return (distance * covered).sum() / covered.sum().clamp_min(1)


def neighbour_aware_cross_entropy(logits: Tensor, counts: Tensor) -> Tensor:
    """NACL of one head (Murugesan et al., MICCAI 2023), with the weight of the paper."""
    return cross_entropy(logits, counts) + 0.1 * neighbour_distance(logits, counts)


def calibration_error(logits: Tensor, counts: Tensor) -> Tensor:
    """mL1-ACE: how far the mean probability in a bin is from the frequency of the class.

    Bins of probability are those of each image and class; the mean is over those that are not
    empty, then over classes and images. It is 0 if nothing is annotated.

    Args:
        logits: (batch, classes, rows, columns).
        counts: of labels, the same shape.
    """
    probability = logits.softmax(1)
    covered = counts.sum(1, keepdim=True).expand_as(counts)
    bins = (probability.detach() * ACE_BINS).long().clamp(0, ACE_BINS - 1).flatten(2)
    of_image_and_class = torch.arange(bins.shape[0] * bins.shape[1], device=bins.device)
    index = (of_image_and_class.view(*bins.shape[:2], 1) * ACE_BINS + bins).flatten()
    excess, pixels = (
        each.new_zeros(len(of_image_and_class) * ACE_BINS).index_add(0, index, each.flatten())
        for each in (probability * covered - counts, covered.to(probability))
    )
    errors = (excess.abs() / pixels.clamp_min(1)).view(-1, ACE_BINS).sum(1)
    filled = (pixels > 0).view(-1, ACE_BINS).sum(1)
    return (errors / filled.clamp_min(1)).sum() / (filled > 0).sum().clamp_min(1)


def dice_cross_entropy_and_calibration(logits: Tensor, counts: Tensor) -> Tensor:
    """nnU-Net's loss of one head with mL1-ACE beside, in equal parts (Barfoot et al., 2025)."""
    return dice_and_cross_entropy(logits, counts) + calibration_error(logits, counts)


HEAD_LOSSES: dict[str, HeadLoss] = {
    "dice_cross_entropy": dice_and_cross_entropy,
    "cross_entropy": cross_entropy,
    "nacl": neighbour_aware_cross_entropy,
    "dice_cross_entropy_ace": dice_cross_entropy_and_calibration,
}
"""A recipe's `loss` -> loss of one head."""


class DeepSupervisionLoss:
    """Weighted mean of the losses of the first heads, each with half the weight of the one above.

    Attributes:
        weights: of the heads, from the full resolution down.
        head_loss: of each.
    """

    def __init__(self, heads: int, head_loss: HeadLoss = dice_and_cross_entropy) -> None:
        self.weights = [0.5**head / (2 - 0.5 ** (heads - 1)) for head in range(heads)]
        self.head_loss = head_loss

    def __call__(
        self, heads: Sequence[Tensor], labels: Tensor, head_loss: HeadLoss | None = None
    ) -> Tensor:
        """The loss over the heads; `head_loss` stands in for the recipe's.

        Args:
            heads: logits (batch, classes, rows, columns), each at its own resolution.
            labels: (batch, 1, rows, columns).
            head_loss: of the logits of one head.
        """
        loss_of = head_loss or self.head_loss
        counts = count_labels(labels)
        losses = []
        for weight, logits in zip(self.weights, heads, strict=False):
            counts = _pooled(counts, logits.shape[2:])
            losses.append(weight * loss_of(logits, counts))
        return torch.stack(losses).sum()


def _pooled(counts: Tensor, size: Sequence[int]) -> Tensor:
    """The counts on a coarser grid."""
    cell = [fine // coarse for fine, coarse in zip(counts.shape[2:], size, strict=True)]
    if cell == [1, 1]:
        return counts
    return functional.avg_pool2d(counts, cell, divisor_override=1)


def build_loss(recipe: Mapping[str, Any], heads: int) -> DeepSupervisionLoss:
    """The loss that a recipe asks for, of a network with so many heads."""
    return DeepSupervisionLoss(
        heads=heads if recipe["deep_supervision"] else 1,
        head_loss=HEAD_LOSSES[recipe["loss"]],
    )
