"""Validation: the numbers of the training curves that are of held-out subjects."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cardiouq.device.choose import in_precision
from cardiouq.methods.base import BaseVariant, Training
from cardiouq.recipes.augmentation import cut_patch
from cardiouq.recipes.loss import count_labels, cross_entropy
from cardiouq.seeds import derive
from cardiouq.training.patches import PatchSampler
from cardiouq.training.run import Run


class Validation(NamedTuple):
    """Results of a network on held-out patches after an epoch."""

    loss: float
    dice: float
    """Dice, mean over the structures."""
    nll: float
    """Negative log-likelihood, nats per pixel."""


def held_out_batches(run: Run, sampler: PatchSampler) -> list[tuple[Tensor, Tensor]]:
    """Unaugmented patches of held-out subjects, the same ones for a whole study.

    Returns:
        Per batch images (batch, 1, rows, columns) float32 and labels uint8, on the device.
    """
    rng = np.random.default_rng(derive(run.seed, "validation"))
    batches = []
    for _ in range(run.settings["validation_batches"]):
        locations = sampler.sample_batch(run.settings["batch_size"], rng)
        patches = [cut_patch(location, run.plan.patch_size) for location in locations]
        images, labels = (torch.stack(parts)[:, None] for parts in zip(*patches, strict=True))
        batches.append((images, labels))
    return batches


@torch.no_grad()
def validate(
    variant: BaseVariant, training: Training, batches: Sequence[tuple[Tensor, Tensor]]
) -> Validation:
    """Validate on the batches of held-out subjects.

    The numbers are of the mean over the network's samples, if it has several. The loss is the plain
    one, so that it compares between variants. Dice is over all patches as one, as nnU-Net's pseudo
    Dice, and over the structures that they or the prediction have; of none it is 0. All three are
    of annotated pixels.
    """
    network = training.network.eval()
    numbers, overlaps = [], []
    for images, labels in batches:
        with in_precision(images.device):
            output = network(images)
        samples = variant.logits(output).float()
        logits = samples.softmax(2).mean(0).log() if len(samples) > 1 else samples[0]
        counts = count_labels(labels)
        losses = training.plain_loss.head_loss, cross_entropy
        numbers.append(torch.stack([loss(logits, counts) for loss in losses]))
        overlaps.append(count_overlap(logits, counts))
    loss, nll = torch.stack(numbers).mean(0).tolist()
    both, predicted, reference = torch.stack(overlaps).double().sum(0)[:, 1:]
    dice = (2 * both / (predicted + reference)).nanmean().nan_to_num()
    return Validation(loss, float(dice), nll)


def count_overlap(logits: Tensor, counts: Tensor) -> Tensor:
    """Annotated pixels per class in both, in prediction and in reference: (3, classes)."""
    predicted = count_labels(logits.max(1, keepdim=True).indices) * counts.sum(1, keepdim=True)
    return torch.stack([part.sum((0, 2, 3)) for part in (predicted * counts, predicted, counts)])
