"""Calibrated ensembles (Buddenkotte et al., 2023, arXiv 2209.09563).

Members are trained with losses biased from over- to under-segmentation, and their votes are turned
into class probabilities that were fitted on held-out subjects.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cardiouq.methods.base import (
    BaseMethod,
    BaseVariant,
    Block,
    Draw,
    Fitted,
    Member,
    Runs,
    Sample,
    Style,
    Training,
    split_classes,
)
from cardiouq.methods.settings import setting
from cardiouq.recipes.loss import cross_entropy, tversky_loss
from cardiouq.recipes.schedule import Schedule
from cardiouq.structures import IGNORED, N_CLASSES

if TYPE_CHECKING:
    from cardiouq.data.plan import Plan

W = (-3, -2, -1, 0, 1, 2, 3)
"""The paper's seven members, from over- to under-segmentation."""


@dataclass(frozen=True)
class Variant(BaseVariant):
    """The loss of the member w, which is the run's branch.

    A Tversky loss with false positives weighted by s = sigmoid(w) and false negatives by 1 - s, so
    that w = 0 is soft Dice, plus cross-entropy with foreground weight exp(-w).
    """

    def problems(self, recipe: Block) -> Iterator[str]:
        if "loss" in recipe:
            yield "loss: calibrated_ensemble trains by Tversky and weighted cross-entropy"

    def loss(self, heads: Sequence[Tensor], labels: Tensor, training: Training) -> Tensor:
        """The member's loss over all heads of deep supervision, weighted as in the plain loss."""
        w = training.member.branch or 0
        loss: Tensor = training.plain_loss(heads, labels, partial(biased_loss, w=w))
        return loss


def biased_loss(logits: Tensor, counts: Tensor, w: float) -> Tensor:
    """The loss of the member w of logits (batch, classes, rows, columns) on counts of labels; that
    of w = 0 is the plain one."""
    s = 1 / (1 + math.exp(-w))
    weights = logits.new_full((logits.shape[1],), math.exp(-w))
    weights[:1] = 1.0  # a number at an index is copied to a GPU, and waited for
    return tversky_loss(logits, counts, s, 1 - s) + cross_entropy(logits, counts, weights)


@dataclass(frozen=True)
class Method(BaseMethod):
    """The votes of the members w, calibrated by cross-validation.

    A member's vote is the argmax of the mean probabilities of its runs over the folds. The
    calibration is fitted on the votes of each fold's own runs for its held-out subjects.
    """

    usual_style = Style("#300F93", "*")
    needs_variant = "calibrated_ensemble"

    w: Sequence[int] = setting(
        W,
        items={"type": "integer", "minimum": -20, "maximum": 20},  # for exp(-w)
        minItems=2,
        maxItems=16,  # each pattern of votes is counted
        uniqueItems=True,
        help="members, from over- to under-segmentation",
    )
    folds: int = setting(4, minimum=2, help="of the cross-validation")
    calibration: Literal["count", "pattern"] = setting(
        "count",
        help="frequency of a class by how many members vote for it, or least squares over who does",
    )

    def members(self) -> list[Member]:
        """Per fold one run for each w, branched from the fold's shared run."""
        return [Member(0, fold, self.folds, w) for fold in range(self.folds) for w in self.w]

    def sample_count(self, schedule: Schedule, plan: "Plan") -> int:
        """One for each w, the mean over its runs."""
        return len(self.w)

    def fit(self, runs: Runs, schedule: Schedule) -> Fitted:
        """The coefficients of the calibration, by class."""
        votes = VoteCounts(len(self.w))
        for fold in range(self.folds):
            of_fold = [run for run in runs if run.member.fold == fold]
            networks = [run.network(schedule.epochs - 1) for run in of_fold]
            streams = [run.held_out(net) for run, net in zip(of_fold, networks, strict=True)]
            for outputs in zip(*streams, strict=True):
                labels = [logits.argmax(1).cpu().numpy().astype(np.uint8) for logits, _ in outputs]
                votes.add(np.stack(labels), outputs[0][1])
        by_count = self.calibration == "count"
        return {
            "w": np.array(self.w),
            self.calibration: votes.by_count() if by_count else votes.by_pattern(),
        }

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """One sample per w: the mean over its runs."""
        epoch = schedule.epochs - 1
        for w in self.w:
            networks = [run.network(epoch) for run in runs if run.member.branch == w]
            sample = Sample(Member(folds=self.folds, branch=w), epoch)
            yield Draw([sample], partial(_outputs, networks), _mean_of_folds)

    def combine(
        self, mean: NDArray[np.float32], labels: NDArray[np.uint8], fitted: Fitted
    ) -> NDArray[np.float32]:
        """Each structure's probability given the members' votes; the rest is the background's."""
        return heat_map(labels, fitted[self.calibration], self.calibration)


def _outputs(networks: Sequence[nn.Module], images: Tensor) -> Tensor:
    return torch.cat([network(images) for network in networks], dim=1)


def _mean_of_folds(output: Tensor) -> list[Tensor]:
    """The logits of the folds' mean probabilities."""
    return [torch.stack([logits.softmax(1) for logits in split_classes(output)]).mean(0).log()]


class VoteCounts:
    """How often voxels with the same votes for a class were of this class.

    Voxels are counted by pattern of votes, so that memory does not grow with the data.
    """

    def __init__(self, members: int) -> None:
        self.members = members
        self.voxels = np.zeros((N_CLASSES, 2**members))
        self.of_class = np.zeros((N_CLASSES, 2**members))

    def add(self, labels: NDArray[np.uint8], reference: NDArray[np.uint8]) -> None:
        """Count annotated voxels: labels (members, ...) by the members, reference (...)."""
        annotated = reference != IGNORED
        labels, reference = labels[:, annotated], reference[annotated]
        for value in range(N_CLASSES):
            patterns = vote_patterns(labels, value)
            truth = (reference == value).ravel()
            size = 2**self.members
            self.voxels[value] += np.bincount(patterns.ravel(), minlength=size)
            self.of_class[value] += np.bincount(patterns.ravel()[truth], minlength=size)

    def by_count(self) -> NDArray[np.float64]:
        """Frequency of each class by votes for it, (classes, 1 + members); 0 for no vote."""
        count = np.bitwise_count(np.arange(2**self.members))
        frequency = np.zeros((N_CLASSES, 1 + self.members))
        for votes in range(1, 1 + self.members):
            voxels = self.voxels[:, count == votes].sum(1)
            hits = self.of_class[:, count == votes].sum(1)
            # never seen: as the members say
            frequency[:, votes] = np.where(
                voxels > 0, hits / np.maximum(voxels, 1), votes / self.members
            )
        return frequency

    def by_pattern(self) -> NDArray[np.float64]:
        """Coefficients (classes, members) of the votes, by least squares over voxels with any."""
        votes = pattern_bits(np.arange(1, 2**self.members), self.members)
        coefficients = []
        for voxels, hits in zip(self.voxels[:, 1:], self.of_class[:, 1:], strict=True):
            weight = np.sqrt(voxels)
            target = np.divide(hits, weight, out=np.zeros_like(hits), where=voxels > 0)
            solution, *_ = np.linalg.lstsq(weight[:, None] * votes, target)
            coefficients.append(solution)
        return np.array(coefficients)


def vote_patterns(labels: NDArray[np.uint8], value: int) -> NDArray[np.int64]:
    """Who votes for a class, as the bits of a number: labels (members, ...) to (...)."""
    bits = (1 << np.arange(len(labels))).reshape(-1, *[1] * (labels.ndim - 1))
    patterns: NDArray[np.int64] = ((labels == value) * bits).sum(0)
    return patterns


def pattern_bits(patterns: NDArray[np.int64], members: int) -> NDArray[np.int64]:
    """Who votes in each pattern: (patterns, members), 1 where a member does."""
    return patterns[:, None] >> np.arange(members) & 1


def heat_map(
    labels: NDArray[np.uint8], coefficients: NDArray[np.number], calibration: str
) -> NDArray[np.float32]:
    """Probabilities (classes, ...) of what members (members, ...) vote for.

    Args:
        labels: of each member.
        coefficients: of `VoteCounts`, by class.
        calibration: `count` or `pattern`, which the coefficients are of.
    """
    members = len(labels)
    every = np.arange(2**members)
    if calibration == "count":
        of_pattern = coefficients[:, np.bitwise_count(every)]
    else:
        of_pattern = (coefficients @ pattern_bits(every, members).T).clip(0, 1)
    heat = np.stack([of_pattern[v][vote_patterns(labels, v)] for v in range(1, N_CLASSES)])
    heat /= np.maximum(heat.sum(0), 1)  # structures fitted apart may exceed 1 together
    return np.concatenate([1 - heat.sum(0, keepdims=True), heat]).clip(0, 1).astype(np.float32)
