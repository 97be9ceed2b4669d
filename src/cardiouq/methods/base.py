"""The interface of a method: how a predictive distribution is drawn from the runs of a recipe.

A method is one file with a class `Method` derived from `BaseMethod`, a frozen dataclass whose
fields are its settings, each a `setting`. A method that trains in its own way has a class `Variant`
too, derived from `BaseVariant`. Whatever else of the program depends on the method asks these
classes. Nothing here imports torch, and no method imports MONAI at the top of its file: the DAG is
built from methods, and should be quickly.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cardiouq.methods.settings import setting
from cardiouq.recipes.schedule import Schedule
from cardiouq.structures import N_CLASSES

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from cardiouq.data.plan import Plan
    from cardiouq.data.readers.scans import Case
    from cardiouq.recipes.loss import DeepSupervisionLoss
    from cardiouq.recipes.network import UNet

MIRRORED_AXES = (0, 1)
"""Axes of a slice that nnU-Net's own trainer mirrors, and predicts by: rows and columns."""
Block = Mapping[str, Any]
"""A block of a study or of a JSON schema: keys and what they hold."""
Fitted = Mapping[str, NDArray[np.number]]
"""What a method fitted on held-out subjects, which is written to `fitted.json`: numbers and arrays
of numbers."""

MEMBER = re.compile(r"(\d+)(?:-fold-(\d+)-of-(\d+))?(?:-branch([+-]\d+))?")
"""How a member is spelt in the path of its run."""


@dataclass(frozen=True, order=True)
class Member:
    """Which run of a recipe.

    Attributes:
        seed: runs differ in it by initial weights and order of data.
        fold: the part of the training subjects that is held out, of `folds`; None: none is.
        folds: parts that the training subjects are divided into.
        branch: which of the runs that start from one shared run's weights; None: from scratch.
    """

    seed: int = 0
    fold: int | None = None
    folds: int | None = None
    branch: int | None = None

    def __str__(self) -> str:
        fold = "" if self.fold is None else f"-fold-{self.fold}-of-{self.folds}"
        branch = "" if self.branch is None else f"-branch{self.branch:+d}"
        return f"{self.seed}{fold}{branch}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The member that `str` spelt so; raises ValueError for another text."""
        found = MEMBER.fullmatch(text)
        if not found:
            raise ValueError(f"{text!r} is no member of a recipe's runs")
        seed, *rest = (None if part is None else int(part) for part in found.groups())
        return cls(seed or 0, *rest)


def folds_of(folds: int) -> list[Member]:
    """One run per fold of a cross-validation."""
    return [Member(fold=fold, folds=folds) for fold in range(folds)]


@dataclass(frozen=True)
class Sample:
    """Where one sample's weights come from: a run (by member) and a checkpoint (by epoch).

    What was trained elsewhere calls its members as it likes.
    """

    member: Member | str
    epoch: int


def split_classes(output: "Tensor") -> Iterable["Tensor"]:
    """Logits of each sample: (batch, samples * classes, rows, columns) to (batch, classes, ...)."""
    samples: Iterable[Tensor] = output.split(N_CLASSES, dim=1)  # type: ignore[no-untyped-call]
    return samples


@dataclass(frozen=True)
class Draw:
    """Samples of the posterior that come from one network.

    Attributes:
        samples: where each comes from.
        network: images (batch, 1, rows, columns) to an output (batch, channels, rows, columns),
            which is blended where tiles overlap.
        logits: the blended output to the logits (batch, classes, rows, columns) of each sample, as
            many as there are `samples`. One that is to weigh more is given several times.
    """

    samples: Sequence[Sample]
    network: "Callable[[Tensor], Tensor]"
    logits: "Callable[[Tensor], Iterable[Tensor]]" = split_classes


class TrainedRun(Protocol):
    """What a method asks of a run on disk; networks come in evaluation mode."""

    member: Member

    def network(self, epoch: int) -> "nn.Module":
        """The network with the weights after an epoch."""

    def mean_network(self, epochs: Sequence[int]) -> "nn.Module":
        """The network with the mean of the weights after several epochs."""

    def held_out(
        self, network: "Callable[[Tensor], Tensor]"
    ) -> "Iterator[tuple[Tensor, NDArray[np.uint8]]]":
        """Outputs and references of the cases of the run's fold, or of the validation side.

        Yields:
            The network's output (slices, channels, rows, columns) and the reference (slices, rows,
            columns) on the plan's grid, `IGNORED` where nobody annotated.
        """

    def validation_loss(self, epoch: int) -> float:
        """Loss on held-out patches after an epoch."""


class PreparedScan(Protocol):
    """A scan as networks see it, and the way back to its own grid."""

    def output(self, network: "Callable[[Tensor], Tensor]") -> "Tensor":
        """A network's output (slices, channels, rows, columns), blended where tiles overlap."""

    def probabilities(self, logits: "Tensor") -> "Tensor":
        """Probabilities (classes, slices, rows, columns) float32 of logits (slices, channels, rows,
        columns), on the scan's own grid and in the project's order of classes."""


class Sampler(Protocol):
    """A method with the networks that it draws from, wherever they were trained."""

    @property
    def method(self) -> "BaseMethod":
        """Whose samples they are."""

    @property
    def device(self) -> "torch.device":
        """Device of the networks."""

    @property
    def precision(self) -> str:
        """What the networks compute in: `bfloat16` or `float32`."""

    @property
    def sample_count(self) -> int:
        """How many samples all draws have together."""

    def fit(self) -> Fitted:
        """What the method learns from held-out subjects before it predicts."""

    def draws(self, fitted: Fitted) -> Iterator[Draw]:
        """Samples of the posterior, each with the network that predicts it."""

    def prepare(self, case: "Case") -> PreparedScan:
        """A case as the networks see it."""


class Style(NamedTuple):
    """How figures draw a method, the same in every study unless one sets a colour.

    Families share hues: greys for Vanilla's temperatures, greens for dropout, blues for ensembles
    of runs, warm colours for trajectories. Seven are Okabe and Ito's; the others were searched for
    the largest distance from one another in CIELAB, also as colour-blind readers see it.
    """

    colour: str
    """Red, green and blue, as `#0072B2`."""
    marker: str
    """One of matplotlib's."""


Runs = Sequence[TrainedRun]
"""The runs of a method's members, in their order."""


@dataclass(frozen=True)
class BaseMethod:
    """A method's settings and how it draws samples from the posterior over networks."""

    usual_style: ClassVar[Style | None] = None
    """How figures draw it, if neither its settings nor the recipe matter."""
    needs_variant: ClassVar[str | None] = None
    """Name of the variant that its runs have to be trained by; None: by any."""

    def problems(self, recipe: Block, plan: Block) -> Iterator[str]:
        """What in a recipe, or in the study's `plan`, the method cannot draw from, in words."""
        yield from ()

    def style(self, recipe: Block) -> Style | None:
        """How figures draw the method with the runs of a recipe; None: in a spare style."""
        return self.usual_style

    def members(self) -> list[Member]:
        """Which runs of its recipe the method uses."""
        return [Member()]

    def checkpoint_epochs(self, schedule: Schedule) -> list[int]:
        """The epochs whose weights a run must keep for this method; the last one by default.

        Raises:
            ValueError: the method cannot be drawn from runs of this schedule.
        """
        return [schedule.epochs - 1]

    def network_passes(self, schedule: Schedule) -> int:
        """How often a slice goes through a network to be predicted, a measure of cost that depends
        on no machine; once for each checkpoint of each member by default."""
        return len(self.members()) * len(self.checkpoint_epochs(schedule))

    def sample_count(self, schedule: Schedule, plan: "Plan") -> int:
        """How many samples all draws have together; one for each pass by default.

        Args:
            schedule: of the recipe.
            plan: of the networks, or a guess as long as it is not made.
        """
        return self.network_passes(schedule)

    def cycles_sampled(self) -> int:
        """How many cycles of a run the samples come from; 0 if they are no trajectory."""
        return 0

    def fits(self) -> bool:
        """Whether `fit` looks at held-out subjects, which must then not be tested on."""
        return False

    def keeps_held_out(self) -> bool:
        """Whether `fit` holds what networks make of all held-out volumes in memory at once, which a
        batch system is asked for."""
        return False

    def fit(self, runs: Runs, schedule: Schedule) -> Fitted:
        """What the method learns from held-out subjects before it predicts."""
        return {}

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """Samples of the posterior, each with the network that predicts it.

        Torch's random numbers are seeded before each draw and before each case.
        """
        for run in runs:
            for epoch in self.checkpoint_epochs(schedule):
                yield Draw([Sample(run.member, epoch)], run.network(epoch))

    def combine(
        self, mean: NDArray[np.float32], labels: NDArray[np.uint8], fitted: Fitted
    ) -> NDArray[np.float32]:
        """The predictive distribution (classes, slices, rows, columns): the samples' mean.

        Args:
            mean: of the samples' probabilities, (classes, slices, rows, columns).
            labels: of each sample, (samples, slices, rows, columns).
            fitted: what `fit` returned.
        """
        return mean


@dataclass(frozen=True)
class SampledOutput(BaseMethod, ABC):
    """Base of a method whose samples all come from one pass of a run's network.

    Attributes:
        samples: how many; a setting of the method.
    """

    samples: int

    def network_passes(self, schedule: Schedule) -> int:
        """One for each member, from which all samples are drawn."""
        return len(self.members())

    def sample_count(self, schedule: Schedule, plan: "Plan") -> int:
        return len(self.members()) * self.samples

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """One draw of all samples of a run."""
        for run in runs:
            epoch = schedule.epochs - 1
            samples = [Sample(run.member, epoch)] * self.samples
            yield Draw(samples, run.network(epoch), self.sampled_logits)

    @abstractmethod
    def sampled_logits(self, output: "Tensor") -> "Iterator[Tensor]":
        """The logits (batch, classes, rows, columns) of each sample, of a network's output."""


@dataclass(frozen=True)
class PretrainedMethod(BaseMethod, ABC):
    """Base of a method of networks that were trained elsewhere.

    A study names their folder, `model`, in place of a recipe.
    """

    model: str | None = setting(None, help="folder of what was trained, from the study's file")

    def members(self) -> list[Member]:
        """None, as no run is trained."""
        return []

    @property
    def folder(self) -> Path:
        """Folder of the model, which a study without it is refused for."""
        assert self.model is not None
        return Path(self.model)

    @abstractmethod
    def check(self, structures: Sequence[str]) -> None:
        """Check, without torch, that the model is there and segments a study's structures.

        Raises:
            CardiouqError: it cannot be predicted with.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Hexadecimal digits that change with the model's files."""

    @abstractmethod
    def checkpoint_bytes(self) -> int:
        """Size of the files that a prediction reads."""

    def case_problems(self, cases: "Iterable[Case]") -> list[str]:
        """Why cases cannot be predicted, each in words, before any is; nothing by default."""
        return []

    @abstractmethod
    def plan(self) -> "Plan | None":
        """Plan of the networks; None: nobody knows it, and the study's stands in for costs."""

    @abstractmethod
    def sample_count(self, schedule: object = None, plan: object = None) -> int:
        """How many samples are drawn, whatever the schedule and the plan of a study."""

    @abstractmethod
    def passes(self) -> int:
        """How often a slice goes through a network to be predicted."""

    @abstractmethod
    def sampler(self, device: "torch.device") -> Sampler:
        """The method with its networks.

        Raises:
            CardiouqError: they cannot be predicted with.
        """


@dataclass(frozen=True)
class Training:
    """What a variant may ask about the run that it is part of.

    Attributes:
        member: which run it is.
        network: what is trained, as the variant made it.
        plain_loss: the recipe's, over all heads of deep supervision.
        images: slices in the training set, without those that nobody annotated.
        pixels: of a patch; the share of them that is annotated in these slices.
        progress: share of the run's epochs that are over, a number on the network's device.
    """

    member: Member
    network: "nn.Module"
    plain_loss: "DeepSupervisionLoss"
    images: int
    pixels: float
    progress: "Tensor"


class WeightPosterior(NamedTuple):
    """A Gaussian posterior over the weights of convolutions, which a figure shows layer by layer.

    Its SD is softplus of the parameter `<convolution>.parametrizations.weight.0.rho`.
    """

    prior_sd: float
    initial_sd: float
    """SD of the posterior before training."""


def has_cross_entropy(recipe: Block) -> bool:
    """Whether a recipe's loss has the cross-entropy, whose place a variant's term can take."""
    return recipe.get("loss", "cross_entropy") in ("cross_entropy", "dice_cross_entropy")


@dataclass(frozen=True)
class BaseVariant:
    """What is special about the training of a method: its network, its loss, its optimiser.

    A recipe names it by `variant: {name: <file>, ...}`. Each function is given the plain thing and
    returns what takes its place.
    """

    style: ClassVar[Style | None] = None
    """How figures draw a method with runs that are trained so; None: as the method says."""
    only_own_method: ClassVar[bool] = False
    """Whether the method of the same file alone draws from what is trained so, as the output is not
    one network's logits of the classes."""

    def posterior(self) -> WeightPosterior | None:
        """The posterior that the weights have themselves; None: they are points."""
        return None

    def problems(self, recipe: Block) -> Iterator[str]:
        """What in a recipe the variant cannot train with, in words."""
        yield from ()

    def network(self, plain: "UNet") -> "nn.Module":
        """The network to train; in evaluation mode its output is what `Draw.network` gives.

        It has no buffers, such as batch norm's, as a run keeps parameters alone.
        """
        return plain

    def optimiser(
        self, plain: "torch.optim.Optimizer", training: Training
    ) -> "torch.optim.Optimizer":
        """The optimiser; its parameter groups are told `lr` and `sampling` at every epoch."""
        return plain

    def loss(self, heads: "Sequence[Tensor]", labels: "Tensor", training: Training) -> "Tensor":
        """The loss that is minimised.

        Nobody annotated what is `IGNORED`: `recipes.loss.count_labels` counts it for no class, and
        the losses of that module leave it out.

        Args:
            heads: the list that the network returns in training mode, float32: of the plain one
                the logits (batch, classes, rows, columns) of each head at its own resolution.
            labels: (batch, 1, rows, columns) uint8.
            training: what it is part of.
        """
        loss: Tensor = training.plain_loss(heads, labels)
        return loss

    def logits(self, output: "Tensor") -> "Tensor":
        """Logits (samples, batch, classes, ...) of an output in evaluation mode, for the curves."""
        return output[None]
