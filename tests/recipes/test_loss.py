"""The loss is nnU-Net's: cross-entropy and Dice, weighted over the heads."""

from itertools import pairwise

import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import nn

from cardiouq.recipes.loss import DeepSupervisionLoss
from cardiouq.structures import N_CLASSES


@pytest.mark.parametrize("heads", [1, 2, 5])
def test_deep_supervision_weights_halve_and_sum_to_one(heads: int) -> None:
    weights = DeepSupervisionLoss(heads).weights
    assert sum(weights) == pytest.approx(1)
    ratios = [below / above for above, below in pairwise(weights)]
    assert ratios == pytest.approx([0.5] * (heads - 1))


def test_loss_is_the_weighted_sum_of_the_heads_own() -> None:
    torch.manual_seed(0)
    loss_of = DeepSupervisionLoss(2)
    logits = torch.randn(2, 2, N_CLASSES, 8, 8)
    labels = torch.randint(0, N_CLASSES, (2, 1, 8, 8))
    by_hand = [loss_of.head_loss(logits[:, head], labels) for head in (0, 1)]
    assert loss_of(logits, labels) == pytest.approx(2 / 3 * by_hand[0] + 1 / 3 * by_hand[1])


def test_where_all_is_annotated_the_loss_is_the_library_s_own() -> None:
    loss = DeepSupervisionLoss(2)
    assert isinstance(loss.head_loss, DiceCELoss)
    assert isinstance(loss.dice_loss, DiceLoss)
    assert loss.of_annotated(loss.dice_loss) is loss.dice_loss


def test_head_loss_is_cross_entropy_plus_one_minus_foreground_dice() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, N_CLASSES, 8, 8, dtype=torch.float64)
    labels = torch.randint(0, N_CLASSES, (2, 1, 8, 8))
    probabilities = logits.softmax(1)
    dice = [
        2
        * probabilities[:, c][labels[:, 0] == c].sum()
        / (probabilities[:, c].sum() + (labels == c).sum())
        for c in range(1, N_CLASSES)
    ]
    entropy = nn.functional.cross_entropy(logits, labels[:, 0])
    expected = float(entropy + 1 - torch.stack(dice).mean())
    assert float(DeepSupervisionLoss(1).head_loss(logits, labels)) == pytest.approx(
        expected, abs=1e-5
    )


def test_cross_entropy_alone_is_the_negative_log_likelihood() -> None:
    draw = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 1, 4, 8, 8, generator=draw)
    labels = torch.randint(0, 4, (2, 1, 8, 8), generator=draw)
    expected = -logits[:, 0].log_softmax(1).gather(1, labels).mean()
    torch.testing.assert_close(DeepSupervisionLoss(heads=1, dice=False)(logits, labels), expected)


def test_heads_that_do_not_count_have_no_gradient() -> None:
    logits = torch.randn(2, 3, 4, 8, 8, requires_grad=True)
    DeepSupervisionLoss(heads=1)(logits, torch.ones(2, 1, 8, 8)).backward()
    assert logits.grad is not None
    assert logits.grad[:, 0].abs().max() > 0
    assert logits.grad[:, 1:].abs().max() == 0
