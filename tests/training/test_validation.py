"""The numbers of the training curves: of held-out patches, of annotated pixels, of the mean."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cardiouq.methods.base import Member, Training
from cardiouq.recipes.loss import HEAD_LOSSES, DeepSupervisionLoss, count_labels
from cardiouq.structures import IGNORED, N_CLASSES
from cardiouq.training.patches import PatchSampler
from cardiouq.training.run import Run
from cardiouq.training.validation import Validation, count_overlap, held_out_batches, validate
from tests.recipes import peers

MakeRun = Callable[..., Run]
Batch = tuple[Tensor, Tensor]


def make_batches(labels: Sequence[Tensor], samples: int) -> list[Batch]:
    """Logits (samples, batch, classes, rows, columns) in the place of images, and labels."""
    draw = torch.Generator().manual_seed(1)
    return [
        (2 * torch.randn(samples, len(one), N_CLASSES, *one.shape[2:], generator=draw), one)
        for one in labels
    ]


def validated(batches: Sequence[Batch], loss: str) -> Validation:
    """By a network that passes on what it is given."""
    variant: Any = SimpleNamespace(logits=lambda output: output)
    plain = DeepSupervisionLoss(3, HEAD_LOSSES[loss])
    training = Training(Member(), nn.Identity(), plain, 2, 16, torch.zeros(()))
    return validate(variant, training, batches)


WHOLE = ["whole", "whole, a class missing"]
ANNOTATED = {"whole": WHOLE, "in part": ["scribbles", "a rim"], "both": [*WHOLE, "scribbles"]}


@pytest.mark.parametrize("names", ANNOTATED.values(), ids=ANNOTATED.keys())
@pytest.mark.parametrize("samples", [1, 5])
@pytest.mark.parametrize("loss", peers.OF_RECIPE)
def test_numbers_are_those_of_annotated_pixels_and_of_the_mean_over_samples(
    loss: str, samples: int, names: Sequence[str]
) -> None:
    batches = make_batches([peers.ANNOTATED[name] for name in names], samples)
    losses, nlls, agreed, sizes = [], [], torch.zeros(3), torch.zeros(3)
    for logits, labels in batches:
        mean = logits.double().softmax(2).mean(0)
        losses.append(peers.at_full_resolution(peers.OF_RECIPE[loss])(mean.log(), labels))
        known = labels[:, 0] != IGNORED
        truth, of_pixels = labels[:, 0][known].long(), mean.movedim(1, -1)[known]
        nlls.append(-of_pixels.gather(1, truth[:, None]).log().mean())
        for value in (1, 2, 3):
            found = of_pixels.argmax(1) == value
            agreed[value - 1] += (found & (truth == value)).sum()
            sizes[value - 1] += found.sum() + (truth == value).sum()
    validation = validated(batches, loss)
    assert validation.loss == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)
    assert validation.nll == pytest.approx(torch.stack(nlls).mean().item(), rel=1e-5)
    assert validation.dice == pytest.approx((2 * agreed / sizes).mean().item(), rel=1e-6)


def test_what_nobody_annotated_has_numbers_too() -> None:
    nothing = torch.full((2, 1, 8, 8), IGNORED, dtype=torch.uint8)
    assert validated(make_batches([nothing], samples=2), "dice_cross_entropy") == (0, 0, 0)


def test_structures_that_nobody_sees_are_left_out_of_dice() -> None:
    """As nnU-Net leaves them out: a perfect network has 1, and a missed structure counts 0."""
    labels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    labels[:, :, :4] = 1
    [(logits, _)] = make_batches([labels], samples=1)
    logits.zero_()
    logits[:, :, 0], logits[:, :, 1, :4] = 1, 2
    assert validated([(logits, labels)], "cross_entropy").dice == 1
    labels[:, :, 7] = 2
    assert validated([(logits, labels)], "cross_entropy").dice == 0.5


def test_network_is_left_in_evaluation_mode_and_without_gradients() -> None:
    network = nn.Conv2d(1, N_CLASSES, 1).train()
    variant: Any = SimpleNamespace(logits=lambda output: output[None])
    training = Training(Member(), network, DeepSupervisionLoss(1), 2, 16, torch.zeros(()))
    validate(variant, training, [(torch.ones(2, 1, 4, 4), torch.ones(2, 1, 4, 4))])
    assert not network.training
    assert network.weight.grad is None


OVERLAPS = {
    "whole": ([[0, 1, 1], [2, 3, 3]], [[0, 1, 2], [2, 3, 0]]),
    "in part": ([[0, 1, 1], [2, 3, 3]], [[0, IGNORED, 2], [2, 3, IGNORED]]),
    "nothing": ([[3, 3, 3], [3, 3, 3]], [[IGNORED] * 3] * 2),
}
EXPECTED = {
    "whole": [[1, 1, 1, 1], [1, 2, 1, 2], [2, 1, 2, 1]],
    "in part": [[1, 0, 1, 1], [1, 1, 1, 1], [1, 0, 2, 1]],
    "nothing": [[0] * 4] * 3,
}
"""Of both, of the prediction and of the reference, by class."""


@pytest.mark.parametrize("name", OVERLAPS)
def test_overlap_counts_annotated_pixels_of_each_class(name: str) -> None:
    predicted, reference = map(torch.tensor, OVERLAPS[name])
    logits = nn.functional.one_hot(predicted, N_CLASSES).movedim(-1, 0)[None].float()
    counts = count_labels(reference[None, None].to(torch.uint8))
    assert count_overlap(logits, counts).tolist() == EXPECTED[name]


@pytest.mark.parametrize("changes", [{}, {"member": Member(3)}, {"recipe_name": "another"}])
def test_patches_are_the_same_for_a_whole_study(
    make_run: MakeRun, arrays: Path, recipe: dict[str, Any], changes: dict[str, Any]
) -> None:
    recipe["validation_batches"] = 3
    device = torch.device("cpu")

    def batches(**changes: Any) -> list[Batch]:
        run = make_run(**changes)
        return held_out_batches(run, PatchSampler(arrays, ["c"], (32, 32), 0.33, device))

    of_study, found = batches(), batches(**changes)
    assert len(found) == 3
    for (images, labels), (its_images, its_labels) in zip(found, of_study, strict=True):
        assert torch.equal(images, its_images)
        assert torch.equal(labels, its_labels)
        assert images.shape == labels.shape == (3, 1, 32, 32)
        assert (images.dtype, labels.dtype) == (torch.float32, torch.uint8)
    assert not torch.equal(found[0][0], found[1][0])
    assert not torch.equal(found[0][0], batches(seed=9)[0][0])
