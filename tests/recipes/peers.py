"""Losses as MONAI and PyTorch have them, which see every pixel of the full resolution."""

from collections.abc import Callable, Mapping, Sequence

import torch
from monai.losses import DiceCELoss, DiceLoss, TverskyLoss
from torch import Tensor
from torch.nn import functional

from cardiouq.structures import IGNORED, N_CLASSES

Loss = Callable[[Tensor, Tensor], Tensor]
"""Loss of logits (batch, classes, rows, columns) on labels (batch, 1, rows, columns)."""

BATCH, SIZE = 3, (32, 48)
OVERLAP = {"include_background": False, "to_onehot_y": True, "softmax": True, "batch": True}
DICE = DiceLoss(**OVERLAP, smooth_nr=1e-5, smooth_dr=1e-5)
DICE_AND_CROSS_ENTROPY = DiceCELoss(**OVERLAP, smooth_nr=1e-5, smooth_dr=1e-5)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels[:, 0].long())


OF_RECIPE = {"dice_cross_entropy": DICE_AND_CROSS_ENTROPY, "cross_entropy": cross_entropy}
"""A recipe's `loss` -> the libraries'."""


def tversky(false_positives: float, false_negatives: float) -> Loss:
    return TverskyLoss(
        **OVERLAP,
        alpha=false_positives,
        beta=false_negatives,
        smooth_nr=0.5e-5,
        smooth_dr=0.5e-5,
    )


def at_full_resolution(loss: Loss) -> Loss:
    """The loss of logits that are brought to the resolution of the labels, nearest by nearest, on
    the annotated pixels, which are taken for an image of one row if they are not all."""

    def full(logits: Tensor, labels: Tensor) -> Tensor:
        logits = functional.interpolate(logits, labels.shape[2:], mode="nearest")
        known = labels[:, 0] != IGNORED
        if known.all():
            return loss(logits, labels)
        of_pixels = logits.movedim(1, -1)[known].T[None]
        return loss(of_pixels, labels[:, 0][known][None, None])

    return full


def deep_supervision(loss: Loss, heads: Sequence[Tensor], labels: Tensor) -> Tensor:
    """The weighted mean of a loss over heads, each with half the weight of the one above."""
    weights = [0.5**head for head in range(len(heads))]
    losses = [at_full_resolution(loss)(logits, labels) for logits in heads]
    weighted = [weight / sum(weights) * of for weight, of in zip(weights, losses, strict=True)]
    return torch.stack(weighted).sum()


def value_and_gradients(loss: Tensor, *of: Tensor) -> tuple[float, tuple[Tensor, ...]]:
    return loss.item(), torch.autograd.grad(loss, of)


def assert_same(ours: Tensor, theirs: Tensor, *of: Tensor, within: float = 1e-9) -> None:
    """Two losses have one value, and the same gradients of all that they are of."""
    (value, gradients), (expected, of_theirs) = (
        value_and_gradients(loss, *of) for loss in (ours, theirs)
    )
    assert abs(value - expected) <= within
    for found, wanted in zip(gradients, of_theirs, strict=True):
        assert wanted.abs().max() > 1e3 * within  # or it says nothing
        torch.testing.assert_close(found, wanted, atol=within, rtol=0)


def _labels() -> Tensor:
    return torch.randint(
        N_CLASSES, (BATCH, 1, *SIZE), generator=torch.Generator().manual_seed(2), dtype=torch.uint8
    )


def _annotated() -> Mapping[str, Tensor]:
    scribbles, rim, slices, missing = (_labels() for _ in range(4))
    kept = torch.rand(scribbles.shape, generator=torch.Generator().manual_seed(3)) < 0.05
    scribbles[~kept] = IGNORED
    rim[..., 5:27, 7:40] = IGNORED
    slices[1:] = IGNORED
    slices[0, :, :13] = IGNORED
    missing[missing == 2] = 0
    missing[:2][missing[:2] == 3] = 1
    missing_in_part = missing.clone()
    missing_in_part[:, :, ::3, ::5] = IGNORED
    return {
        "whole": _labels(),
        "scribbles": scribbles,
        "a rim": rim,
        "half of one image": slices,
        "whole, a class missing": missing,
        "in part, a class missing": missing_in_part,
    }


ANNOTATED = _annotated()
"""Labels (3, 1, 32, 48) uint8, annotated wholly and in part."""
