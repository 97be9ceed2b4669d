"""MC-Dropout: dropout is on, and what is computed once makes no difference."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cardiouq.methods import mc_dropout, single
from cardiouq.methods.mc_dropout import Passes
from cardiouq.recipes.network import DROPOUT_PLACES, Dropout, UNet
from cardiouq.recipes.schedule import PolynomialSchedule

MakeNetwork = Callable[..., UNet]
PASSES = 4
KINDS = pytest.mark.parametrize("kind", ["element", "channel"])
SCHEDULE = PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9)


@KINDS
def test_dropout_is_on_and_off_in_vanilla(
    kind: str, make_network: MakeNetwork, make_run: Any, images: Tensor
) -> None:
    run = make_run({7: lambda: make_network(p=0.3, kind=kind)})
    [draw] = mc_dropout.Method(passes=PASSES).draws([run], SCHEDULE, {})
    passes = list(draw.logits(draw.network(images)))
    assert len(passes) == len(draw.samples) == PASSES
    for index, logits in enumerate(passes):
        assert not any(torch.equal(logits, other) for other in passes[:index])
    vanilla = single.Method()
    [draw] = vanilla.draws([run], SCHEDULE, vanilla.fit([run], SCHEDULE))
    assert torch.equal(draw.network(images), draw.network(images))


@pytest.mark.parametrize(("kind", "layer"), [("element", Dropout), ("channel", nn.Dropout2d)])
def test_only_dropout_is_in_training_mode(
    kind: str, layer: type[nn.Module], make_network: MakeNetwork
) -> None:
    network = make_network(p=0.5, kind=kind)
    Passes(network, PASSES)
    assert {type(m) for m in network.modules() if m.training} == {layer}


@KINDS
@pytest.mark.parametrize("place", DROPOUT_PLACES)
def test_samples_are_those_of_full_passes_bit_for_bit(
    place: str, kind: str, make_network: MakeNetwork, images: Tensor
) -> None:
    network = make_network(p=0.3, place=place, kind=kind)
    passes = Passes(network, PASSES)
    torch.manual_seed(3)
    samples = passes(images)
    torch.manual_seed(3)
    full = torch.cat([network(images) for _ in range(PASSES)], dim=1)
    assert samples.shape == (2, PASSES * 4, 32, 32)
    assert torch.equal(samples, full)


# of the four stages of the encoder
@KINDS
@pytest.mark.parametrize(
    ("place", "calls"),
    [
        ("all", [PASSES, PASSES, PASSES, PASSES]),
        ("encoder", [PASSES, PASSES, PASSES, PASSES]),
        ("middle", [1, 1, PASSES, PASSES]),
        ("bottleneck", [1, 1, 1, PASSES]),
        ("decoder", [1, 1, 1, 1]),
    ],
)
def test_what_comes_before_the_first_dropout_runs_once_per_image(
    kind: str, place: str, calls: list[int], make_network: MakeNetwork, images: Tensor
) -> None:
    network = make_network(p=0.3, place=place, kind=kind)
    encoder = [network.input_block, *network.downsamples, network.bottleneck]
    counted: Counter[nn.Module] = Counter()
    for stage in [*encoder, *network.upsamples]:
        stage.register_forward_hook(lambda module, *_: counted.update([module]))
    Passes(network, PASSES)(images)
    assert [counted[stage] for stage in encoder] == calls
    assert [counted[stage] for stage in network.upsamples] == [PASSES] * 3
