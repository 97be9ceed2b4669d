"""Losses for calibration: NACL is MONAI's, mL1-ACE that of a calculation by hand."""

import numpy as np
import pytest
import torch
from monai.losses import NACLLoss
from torch import Tensor

from cardiouq.recipes.loss import (
    HEAD_LOSSES,
    DeepSupervisionLoss,
    calibration_error,
    count_labels,
    cross_entropy,
    dice_and_cross_entropy,
    neighbour_distance,
)
from cardiouq.structures import IGNORED, N_CLASSES
from tests.recipes import peers

EVERY_ANNOTATION = pytest.mark.parametrize(
    "labels", peers.ANNOTATED.values(), ids=peers.ANNOTATED.keys()
)


@pytest.fixture
def logits() -> Tensor:
    """(3, 4, 32, 48) float64."""
    draw = torch.Generator().manual_seed(1)
    shape = (peers.BATCH, N_CLASSES, *peers.SIZE)
    return (3 * torch.randn(shape, generator=draw).double()).requires_grad_()


@pytest.mark.parametrize("name", ["whole", "whole, a class missing"])
def test_nacl_is_monai_s(name: str, logits: Tensor) -> None:
    labels = peers.ANNOTATED[name]
    theirs = NACLLoss(classes=N_CLASSES, dim=2)(logits, labels[:, 0].long())
    # whose shares of neighbours are float32
    peers.assert_same(
        HEAD_LOSSES["nacl"](logits, count_labels(labels).double()), theirs, logits, within=1e-7
    )


@EVERY_ANNOTATION
def test_what_nobody_annotated_is_a_neighbour_of_no_class(labels: Tensor, logits: Tensor) -> None:
    known = np.pad(labels[:, 0].numpy(), ((0, 0), (1, 1), (1, 1)), constant_values=IGNORED)
    distances = []
    for image, row, column in np.argwhere(known != IGNORED):
        around = known[image, row - 1 : row + 2, column - 1 : column + 2]
        shares = [(around == value).sum() / 9 for value in range(N_CLASSES)]
        here = logits[image, :, row - 1, column - 1].detach().numpy()
        distances.append(np.abs(here - shares).mean())
    found = neighbour_distance(logits, count_labels(labels))
    assert found.item() == pytest.approx(np.mean(distances), rel=1e-6)


def test_a_cell_of_a_lower_head_has_the_shares_of_its_pixels() -> None:
    labels = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    labels[..., :2, :2] = torch.tensor([[1, 2], [2, IGNORED]])
    labels[..., 2:, 2:] = IGNORED
    logits = torch.zeros(1, N_CLASSES, 2, 2)
    loss = DeepSupervisionLoss(1, neighbour_distance)([logits], labels)
    # each cell sees all four: one of 1/3 and 2/3, two of background and one of nobody's
    assert loss.item() == pytest.approx(np.mean([2 / 9, (1 / 3) / 9, (2 / 3) / 9, 0]))


def error_by_hand(logits: Tensor, labels: Tensor) -> float:
    """Bin by bin of each image and class, as Barfoot et al. write it."""
    of_classes = []
    for image, known in enumerate(labels[:, 0].numpy() != IGNORED):
        if not known.any():
            continue
        truth = labels[image, 0].numpy()[known]
        for value, probability in enumerate(logits[image].softmax(0).detach().numpy()):
            p = probability[known]
            places = np.digitize(p, np.linspace(0, 1, 21)[1:-1])
            gaps = [
                abs(p[places == place].mean() - (truth[places == place] == value).mean())
                for place in np.unique(places)
            ]
            of_classes.append(np.mean(gaps))
    return float(np.mean(of_classes))


@EVERY_ANNOTATION
def test_calibration_error_is_that_of_the_bins_of_each_image_and_class(
    labels: Tensor, logits: Tensor
) -> None:
    found = calibration_error(logits, count_labels(labels))
    assert found.item() == pytest.approx(error_by_hand(logits, labels), rel=1e-6)


def test_a_network_that_diverged_has_no_calibration_error(logits: Tensor) -> None:
    """The training then says so; a bin of NaN is none."""
    diverged = torch.full_like(logits, torch.nan)
    assert calibration_error(diverged, count_labels(peers.ANNOTATED["whole"])).isnan()


@pytest.mark.parametrize("name", ["whole", "in part, a class missing"])
def test_a_lower_head_is_as_calibrated_as_its_pixels(name: str, logits: Tensor) -> None:
    coarse = logits[..., ::4, ::2]
    at_full_resolution = coarse.repeat_interleave(4, 2).repeat_interleave(2, 3)
    labels = peers.ANNOTATED[name]
    found = DeepSupervisionLoss(1, calibration_error)([coarse], labels)
    assert found.item() == pytest.approx(error_by_hand(at_full_resolution, labels), rel=1e-6)


@pytest.mark.parametrize(("confidence", "direction"), [(4.0, 1), (0.5, -1)])
def test_its_gradient_leads_to_the_frequency_of_the_labels(
    confidence: float, direction: int
) -> None:
    """A network that is too sure becomes less sure, and one that is not sure enough more."""
    labels = torch.randint(0, 2, (1, 1, 64, 64), generator=torch.Generator().manual_seed(1))
    background = torch.tensor(confidence, requires_grad=True)
    logits = torch.cat([background.expand(1, 1, 64, 64), torch.zeros(1, N_CLASSES - 1, 64, 64)], 1)
    [gradient] = torch.autograd.grad(calibration_error(logits, count_labels(labels)), background)
    assert gradient.sign() == direction


def test_the_losses_are_sums_of_their_terms(logits: Tensor) -> None:
    counts = count_labels(peers.ANNOTATED["a rim"])
    terms = {
        "nacl": cross_entropy(logits, counts) + 0.1 * neighbour_distance(logits, counts),
        "dice_cross_entropy_ace": dice_and_cross_entropy(logits, counts)
        + calibration_error(logits, counts),
    }
    for name, expected in terms.items():
        assert torch.equal(HEAD_LOSSES[name](logits, counts), expected)
