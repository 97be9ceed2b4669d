"""Energy, largest logit and features of the bottleneck, read while a network is applied."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cardiouq.data.plan import Plan
from cardiouq.methods.mc_dropout import Passes
from cardiouq.prediction.activations import Activations
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import RunOnDisk

MakeRun = Callable[..., RunOnDisk]


def test_energy_and_largest_logit_are_means_over_voxels_and_samples() -> None:
    found = Activations()
    samples = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    for logits in samples:
        found.add_logits("a", logits)
    z = samples.double().numpy()
    [row] = found.table().to_dict("records")
    assert row == {
        "case": "a",
        "energy": pytest.approx(-np.log(np.exp(z).sum(2)).mean(), abs=1e-5),
        "largest_logit": pytest.approx(z.max(2).mean(), abs=1e-5),
    }


def test_softmax_forgets_the_energy() -> None:
    found = Activations()
    logits = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    found.add_logits("plain", logits)
    found.add_logits("raised", logits + 2)
    found.add_logits("of probabilities", logits.softmax(1).log())
    energy = found.table().set_index("case")["energy"]
    assert energy["raised"] == pytest.approx(energy["plain"] - 2, abs=1e-4)
    assert energy["of probabilities"] == 0


def several(networks: list[Any], images: torch.Tensor) -> torch.Tensor:
    return torch.cat([network(images) for network in networks], 1)


@pytest.mark.parametrize(
    "made",
    [
        lambda network: network,
        lambda network: partial(several, [network, network]),
        lambda network: Passes(network, 2),
    ],
    ids=["network", "function of networks", "passes"],
)
@pytest.mark.parametrize("overlap", [0.0, 0.25])
def test_features_are_those_of_the_bottleneck_of_whatever_is_applied(
    make_run: MakeRun, plan: Plan, arrays: Path, made: Any, overlap: float
) -> None:
    image = np.load(arrays / "a_image.npy")[:, : plan.patch_size[0], : plan.patch_size[1]]
    network = make_run(0, {19: 0}).network(19)
    found = Activations()
    with found.of_bottleneck("a"):
        Predictor(plan, overlap, torch.device("cpu")).output(made(network), image)
    found.add_logits("a", torch.zeros(1, 4, 2, 2))
    with torch.no_grad():
        encoded = network.encode(torch.from_numpy(image)[:, None])[-1]  # type: ignore[operator]
    row = found.table().iloc[0].drop(["case", "energy", "largest_logit"]).astype(float)
    assert row.index.tolist() == [f"channel_{i}" for i in range(plan.features_per_stage[-1])]
    np.testing.assert_allclose(row, encoded.mean((0, 2, 3)), atol=2e-2)
    assert row.abs().max() > 0.1


def test_nothing_is_noted_of_networks_without_a_bottleneck_or_outside() -> None:
    found = Activations()
    with found.of_bottleneck("a"):
        torch.nn.Conv2d(1, 4, 1)(torch.zeros(1, 1, 2, 2))
    found.add_logits("a", torch.zeros(1, 4, 2, 2))
    assert found.table().columns.tolist() == ["case", "energy", "largest_logit"]
    assert not torch.nn.modules.module._global_forward_hooks
