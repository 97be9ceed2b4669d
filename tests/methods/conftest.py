"""Small networks, and runs that hold them in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardiouq.data.plan import Plan
from cardiouq.methods.base import Member, Training
from cardiouq.recipes.loss import DeepSupervisionLoss
from cardiouq.recipes.network import UNet, build_network

torch.set_num_threads(1)


@dataclass
class RunInMemory:
    """What a method asks of a run; networks are made anew whenever asked for, as from disk."""

    networks: Mapping[int, Callable[[], Any]]
    """By epoch, how it is made."""
    member: Member = field(default_factory=Member)
    cases: Sequence[tuple[Tensor, NDArray[np.uint8]]] = ()
    """Held out: images (slices, 1, rows, columns) and references (slices, rows, columns)."""
    losses: Mapping[int, float] = field(default_factory=dict)
    """On held-out patches, by epoch."""

    def network(self, epoch: int) -> Any:
        return self.networks[epoch]()

    def held_out(
        self, network: Callable[[Tensor], Tensor]
    ) -> Iterator[tuple[Tensor, NDArray[np.uint8]]]:
        for images, reference in self.cases:
            yield network(images), reference

    def validation_loss(self, epoch: int) -> float:
        return self.losses[epoch]


@pytest.fixture
def make_run() -> type[RunInMemory]:
    return RunInMemory


@pytest.fixture
def make_network(plan: Plan) -> Callable[..., UNet]:
    """A U-Net with random weights, in evaluation mode."""

    def make(p: float = 0.0, place: str = "all", seed: int = 0, kind: str = "element") -> UNet:
        torch.manual_seed(seed)
        network: UNet = build_network(plan, {"p": p, "place": place, "kind": kind}).eval()
        return network

    return make


@pytest.fixture
def make_training() -> Callable[..., Training]:
    """What a variant may ask about its run, with some of it changed."""

    def make(**changes: Any) -> Training:
        known = {"member": Member(), "network": torch.nn.Identity(), "images": 60, "pixels": 1024}
        parts = {"plain_loss": DeepSupervisionLoss(heads=2), "progress": torch.tensor(0.5)}
        return Training(**known | parts | changes)

    return make


@pytest.fixture
def images() -> Tensor:
    """(2, 1, 32, 32)."""
    return torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels() -> Tensor:
    """(2, 1, 32, 32) of all classes."""
    return torch.randint(0, 4, (2, 1, 32, 32), generator=torch.Generator().manual_seed(2))
