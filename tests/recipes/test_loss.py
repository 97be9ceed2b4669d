"""The loss is nnU-Net's: cross-entropy and Dice of each head at its own resolution, weighted."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cardiouq.recipes.loss import (
    HEAD_LOSSES,
    DeepSupervisionLoss,
    HeadLoss,
    build_loss,
    count_labels,
    cross_entropy,
    tversky_loss,
)
from cardiouq.structures import IGNORED, N_CLASSES
from tests.recipes import peers

EVERY_ANNOTATION = pytest.mark.parametrize(
    "labels", peers.ANNOTATED.values(), ids=peers.ANNOTATED.keys()
)
NOBODY = torch.full((peers.BATCH, 1, *peers.SIZE), IGNORED, dtype=torch.uint8)


def make_heads(*strides: Sequence[int], seed: int = 1) -> list[Tensor]:
    """Random logits (3, 4, ...) of heads with these strides, float64."""
    draw = torch.Generator().manual_seed(seed)
    sizes = [
        [size // by for size, by in zip(peers.SIZE, stride, strict=True)] for stride in strides
    ]
    return [
        (3 * torch.randn(peers.BATCH, N_CLASSES, *size, generator=draw).double()).requires_grad_()
        for size in sizes
    ]


STRIDES = {
    "one head": [(1, 1)],
    "three heads": [(1, 1), (2, 2), (4, 4)],
    "strides that differ": [(1, 1), (1, 2), (2, 4), (4, 8)],
    "down to a column": [(1, 1), (4, 16), (32, 48)],
}


@EVERY_ANNOTATION
@pytest.mark.parametrize("strides", STRIDES.values(), ids=STRIDES.keys())
@pytest.mark.parametrize("name", peers.OF_RECIPE)
def test_loss_and_gradients_are_monai_s_of_heads_at_full_resolution(
    name: str, strides: list[tuple[int, int]], labels: Tensor
) -> None:
    heads = make_heads(*strides)
    ours = DeepSupervisionLoss(len(heads), HEAD_LOSSES[name])(heads, labels)
    peers.assert_same(ours, peers.deep_supervision(peers.OF_RECIPE[name], heads, labels), *heads)


@EVERY_ANNOTATION
@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (0.1, 0.9), (0.95, 0.05)])
def test_overlap_of_a_head_is_monai_s_tversky(alpha: float, beta: float, labels: Tensor) -> None:
    [logits] = make_heads((1, 1))
    theirs = peers.at_full_resolution(peers.tversky(alpha, beta))(logits, labels)
    peers.assert_same(tversky_loss(logits, count_labels(labels), alpha, beta), theirs, logits)


@EVERY_ANNOTATION
def test_equal_errors_make_it_monai_s_dice(labels: Tensor) -> None:
    [logits] = make_heads((1, 1))
    theirs = peers.at_full_resolution(peers.DICE)(logits, labels)
    peers.assert_same(tversky_loss(logits, count_labels(labels)), theirs, logits)


@EVERY_ANNOTATION
@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 0.05, 0.05, 0.05), (0.5, 20, 1, 3)])
def test_weights_of_classes_do_not_change_what_the_sum_is_divided_by(
    weights: Sequence[float], labels: Tensor
) -> None:
    [logits] = make_heads((1, 1))
    factors = torch.tensor(weights, dtype=torch.float64)

    def theirs(logits: Tensor, labels: Tensor) -> Tensor:
        of_pixels = functional.cross_entropy(logits, labels[:, 0].long(), factors, reduction="none")
        return of_pixels.mean()

    ours = cross_entropy(logits, count_labels(labels), factors)
    peers.assert_same(ours, peers.at_full_resolution(theirs)(logits, labels), logits)


@EVERY_ANNOTATION
def test_in_float32_the_loss_is_the_same_to_rounding(labels: Tensor) -> None:
    heads = make_heads((1, 1), (2, 2), (4, 4))
    exact = DeepSupervisionLoss(3)(heads, labels).item()
    found = DeepSupervisionLoss(3)([head.float() for head in heads], labels)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(exact, rel=1e-6)


LOSSES_OF_A_HEAD: dict[str, HeadLoss] = {
    "cross-entropy": cross_entropy,
    "Tversky": lambda logits, counts: tversky_loss(logits, counts, 0.9, 0.1),
    **HEAD_LOSSES,
}


@pytest.mark.parametrize("loss", LOSSES_OF_A_HEAD.values(), ids=LOSSES_OF_A_HEAD.keys())
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_what_nobody_annotated_has_no_loss_and_no_gradient(loss: HeadLoss, scale: float) -> None:
    """However sure the network is there."""
    heads = make_heads((1, 1), (2, 2))
    value, gradients = peers.value_and_gradients(
        DeepSupervisionLoss(2, loss)([scale * head.float() for head in heads], NOBODY), *heads
    )
    assert value == 0
    assert all((gradient == 0).all() for gradient in gradients)


@pytest.mark.parametrize("scale", [30.0, 1e3, 1e4])
def test_a_network_that_is_sure_has_a_finite_gradient(scale: float) -> None:
    heads = make_heads((1, 1), (2, 2))
    for labels in peers.ANNOTATED.values():
        sure = [scale * head.float() for head in heads]
        value, gradients = peers.value_and_gradients(DeepSupervisionLoss(2)(sure, labels), *heads)
        assert 0 < value < float("inf")
        assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_each_annotated_pixel_is_counted_once_and_by_its_class(dtype: torch.dtype) -> None:
    labels = torch.tensor([[0, 1, IGNORED], [3, 2, 3]]).to(dtype).view(1, 1, 2, 3)
    assert count_labels(labels)[0].tolist() == [
        [[1, 0, 0], [0, 0, 0]],
        [[0, 1, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 1, 0]],
        [[0, 0, 0], [1, 0, 1]],
    ]


@pytest.mark.parametrize("strides", STRIDES.values(), ids=STRIDES.keys())
@EVERY_ANNOTATION
def test_a_head_sees_how_many_pixels_of_each_class_its_cells_cover(
    labels: Tensor, strides: list[tuple[int, int]]
) -> None:
    seen: list[Tensor] = []

    def look(logits: Tensor, counts: Tensor) -> Tensor:
        seen.append(counts)
        return logits.sum()

    DeepSupervisionLoss(len(strides), look)(make_heads(*strides), labels)
    for (down, right), counts in zip(strides, seen, strict=True):
        cells = labels[:, 0].unfold(1, down, down).unfold(2, right, right).flatten(3)
        by_hand = [(cells == value).sum(3) for value in range(N_CLASSES)]
        assert torch.equal(counts, torch.stack(by_hand, dim=1).float())


@pytest.mark.parametrize("heads", [1, 2, 5])
def test_deep_supervision_weights_halve_and_sum_to_one(heads: int) -> None:
    weights = DeepSupervisionLoss(heads).weights
    assert sum(weights) == pytest.approx(1)
    ratios = [below / above for above, below in pairwise(weights)]
    assert ratios == pytest.approx([0.5] * (heads - 1))


@pytest.mark.parametrize("heads", [1, 2])
def test_heads_that_do_not_count_have_no_gradient(heads: int) -> None:
    outputs = make_heads((1, 1), (2, 2), (4, 4))
    DeepSupervisionLoss(heads)(outputs, peers.ANNOTATED["scribbles"]).backward()
    assert [logits.grad is not None for logits in outputs] == [head < heads for head in range(3)]


def test_another_loss_of_a_head_stands_in_for_the_recipe_s() -> None:
    heads, labels = make_heads((1, 1), (2, 2)), peers.ANNOTATED["a rim"]
    found = DeepSupervisionLoss(2)(heads, labels, cross_entropy)
    assert torch.equal(found, DeepSupervisionLoss(2, cross_entropy)(heads, labels))
    assert not torch.equal(found, DeepSupervisionLoss(2)(heads, labels))


@pytest.mark.parametrize("deep_supervision", [True, False])
@pytest.mark.parametrize("name", HEAD_LOSSES)
def test_loss_is_the_one_that_the_recipe_asks_for(name: str, deep_supervision: bool) -> None:
    built = build_loss({"loss": name, "deep_supervision": deep_supervision}, heads=3)
    assert len(built.weights) == (3 if deep_supervision else 1)
    assert built.head_loss is HEAD_LOSSES[name]
