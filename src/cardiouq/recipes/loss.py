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


HEAD_LOSSES = {"dice_cross_entropy": dice_and_cross_entropy, "cross_entropy": cross_entropy}
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
