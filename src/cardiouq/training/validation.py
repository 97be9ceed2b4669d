"""Validation: the numbers of the training curves that are of held-out subjects."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cardiouq.device.choose import training_precision
from cardiouq.methods.base import BaseVariant, Training
from cardiouq.recipes.augmentation import cut_patch
from cardiouq.seeds import derive
from cardiouq.structures import IGNORED, N_CLASSES
from cardiouq.training.patches import WindowSampler
from cardiouq.training.run import Run


class Validation(NamedTuple):
    """Results of a network on held-out patches after an epoch."""

    loss: float
    dice: float
    """Dice, mean over the structures."""
    nll: float
    """Negative log-likelihood, nats per pixel."""


@torch.no_grad()
def validate(
    run: Run, variant: BaseVariant, training: Training, sampler: WindowSampler
) -> Validation:
    """Validate on unaugmented patches of held-out subjects, the same ones for a whole study.

    The numbers are of the mean over the network's samples, if it has several. The loss is the plain
    one, so that it compares between variants. Dice is over all patches as one, as nnU-Net's pseudo
    Dice. All three are of annotated pixels.
    """
    network, plain_loss = training.network, training.plain_loss
    device = next(network.parameters()).device
    rng = np.random.default_rng(derive(run.seed, "validation"))
    nll_loss = plain_loss.of_annotated(
        lambda logits, labels: functional.cross_entropy(logits, labels[:, 0].long())
    )
    network.eval()
    losses, nll = [], []
    overlap = torch.zeros(3, N_CLASSES, dtype=torch.int64)
    for _ in range(run.settings["validation_batches"]):
        windows = sampler.sample_batch(run.settings["batch_size"], rng)
        images, labels = (cut_patch(w, run.plan.patch_size).to(device) for w in windows)
        with training_precision(device):
            samples = variant.logits(network(images)).float()
        logits = samples.softmax(2).mean(0).log() if len(samples) > 1 else samples[0]
        losses.append(plain_loss.head_loss(logits, labels))
        nll.append(nll_loss(logits, labels))
        overlap += count_overlap(logits.max(1).indices, labels[:, 0]).cpu()
    both, predicted, reference = overlap[:, 1:].double()
    dice = 2 * both / (predicted + reference).clamp_min(1)
    return Validation(
        loss=float(torch.stack(losses).mean()),
        dice=float(dice.mean()),
        nll=float(torch.stack(nll).mean()),
    )


def count_overlap(predicted: Tensor, reference: Tensor) -> Tensor:
    """Annotated voxels per class in both, in prediction and in reference: (3, classes) int64."""
    annotated = reference != IGNORED
    predicted, reference = predicted[annotated], reference[annotated]
    counts = [
        torch.bincount(values.flatten().long(), minlength=N_CLASSES)
        for values in (predicted[predicted == reference], predicted, reference)
    ]
    return torch.stack(counts)
