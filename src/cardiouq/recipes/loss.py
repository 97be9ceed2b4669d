"""nnU-Net's loss: Dice + cross-entropy with deep supervision, each head at its own resolution.

nnU-Net brings the logits of lower heads to full resolution, nearest neighbour by nearest neighbour,
and MONAI's `DiceCELoss` would then see the same logits many times. Here a cell of a head's grid is
seen once, with the counts of the labels that it covers: the same sums, without copies of full size
(the tests hold it against MONAI's).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cardiouq.structures import N_CLASSES

<<<<<<< HEAD
HeadLoss = Callable[[Tensor, Tensor], Tensor]
"""Loss of one head: logits (batch, classes, rows, columns), and the counts of `count_labels`."""

SMOOTHING = 0.5e-5
"""Of an overlap's numerator and denominator, in pixels: half of nnU-Net's constant for Dice, which
has every count twice."""


def count_labels(labels: Tensor) -> Tensor:
    """Pixels of each class: (batch, 1, rows, columns) labels to (batch, classes, rows, columns)
    float32, 1 for the pixel's class; 0 for every class where it is `IGNORED`."""
    classes = torch.arange(N_CLASSES, dtype=labels.dtype, device=labels.device)
    return (labels == classes.view(1, -1, 1, 1)).float()


def cross_entropy(logits: Tensor, counts: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over annotated pixels of -log p of the pixel's class, times the class's weight if there
    are any (classes,); 0 where nothing is annotated."""
    if weights is None:
        likelihood = counts * logits.log_softmax(1)
    else:
        likelihood = counts * logits.log_softmax(1) * weights.view(1, -1, 1, 1)
    return -likelihood.sum() / counts.sum().clamp_min(1)


def tversky_loss(
    logits: Tensor, counts: Tensor, false_positives: float = 0.5, false_negatives: float = 0.5
) -> Tensor:
    """1 - the mean over structures of TP / (TP + a FP + b FN), soft, over the batch as one, as in
    nnU-Net's 2D setting; with a = b = 0.5 it is the Dice loss. 0 where nothing is annotated."""
    covered = counts.sum(1, keepdim=True)
    probability = logits.softmax(1)
    found, predicted, true = (
        (each[:, 1:]).sum((0, 2, 3))
        for each in (probability * counts, probability * covered, counts)
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
=======
Loss = Callable[[Tensor, Tensor], Tensor]
"""Loss of logits (batch, classes, ...) on labels (batch, 1, ...)."""


class DeepSupervisionLoss(nn.Module):
    """Dice + cross-entropy, or cross-entropy alone, over all heads.

    Each head has half the weight of the one above; heads beyond `heads` do not count. With
    `in_part`, labels may be `IGNORED`: as in nnU-Net, these pixels have no loss.
>>>>>>> issue-17
    """

    def __init__(self, heads: int, head_loss: HeadLoss = dice_and_cross_entropy) -> None:
        self.weights = [0.5**head / (2 - 0.5 ** (heads - 1)) for head in range(heads)]
        self.head_loss = head_loss

<<<<<<< HEAD
    def __call__(
        self, heads: Sequence[Tensor], labels: Tensor, head_loss: HeadLoss | None = None
    ) -> Tensor:
        """The loss of logits (batch, classes, rows, columns), each head at its own resolution, on
        labels (batch, 1, rows, columns); by another loss of one head if it is given."""
        loss_of = head_loss or self.head_loss
        counts = count_labels(labels)
        losses = []
        for weight, logits in zip(self.weights, heads, strict=False):
            counts = _pooled(counts, logits.shape[2:])
            losses.append(weight * loss_of(logits, counts))
=======
    def of_annotated(self, loss: Loss) -> Loss:
        """A loss of the annotated pixels of a batch, taken for an image of one row.

        What sees the pixels of a batch as one sees no difference. It is 0 if none is annotated.
        """
        if not self.in_part:
            return loss

        def within(logits: Tensor, labels: Tensor) -> Tensor:
            annotated = labels[:, 0] != IGNORED
            if not annotated.any():
                return 0 * logits.sum()
            of_pixels = logits.movedim(1, -1)[annotated]
            return loss(of_pixels.T[None], labels[:, 0][annotated][None, None])

        return within

    def forward(self, logits: Tensor, labels: Tensor, head_loss: Loss | None = None) -> Tensor:
        """The loss over all heads; `head_loss` stands in for Dice + cross-entropy of one head.

        Args:
            logits: (batch, heads, classes, rows, columns).
            labels: (batch, 1, rows, columns).
            head_loss: of the logits (batch, classes, rows, columns) of one head.
        """
        loss_of = self.of_annotated(head_loss) if head_loss else self.head_loss
        losses = [
            weight * loss_of(logits[:, head], labels) for head, weight in enumerate(self.weights)
        ]
>>>>>>> issue-17
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
