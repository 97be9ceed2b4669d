"""nnU-Net's loss from MONAI's parts: Dice + cross-entropy with deep supervision."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import Tensor, nn

from cardiouq.structures import IGNORED

Loss = Callable[[Tensor, Tensor], Tensor]
"""Loss of logits (batch, classes, ...) on labels (batch, 1, ...)."""


class DeepSupervisionLoss(nn.Module):
    """Dice + cross-entropy, or cross-entropy alone, over all heads.

    Each head has half the weight of the one above; heads beyond `heads` do not count. With
    `in_part`, labels may be `IGNORED`: as in nnU-Net, these pixels have no loss.
    """

    def __init__(self, heads: int, *, dice: bool = True, in_part: bool = False) -> None:
        super().__init__()
        self.dice = dice
        self.in_part = in_part
        weights = torch.tensor([0.5**head for head in range(heads)])
        self.weights: Sequence[float] = (weights / weights.sum()).tolist()
        # nnU-Net's 2D setting: Dice over the batch as one, background left out
        settings = {
            "include_background": False,
            "to_onehot_y": True,
            "softmax": True,
            "batch": True,
            "smooth_nr": 1e-5,
            "smooth_dr": 1e-5,
        }
        self.head_loss = self.of_annotated(DiceCELoss(**settings, lambda_dice=float(dice)))
        self.dice_loss = self.of_annotated(DiceLoss(**settings))

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
        return torch.stack(losses).sum()


def build_loss(recipe: Mapping[str, Any], heads: int, in_part: bool) -> DeepSupervisionLoss:
    """The loss that a recipe asks for, of a network with so many heads."""
    return DeepSupervisionLoss(
        heads=heads if recipe["deep_supervision"] else 1,
        dice=recipe["loss"] == "dice_cross_entropy",
        in_part=in_part,
    )
