"""The network that MONAI builds is the one that the plan and the recipe describe."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from monai.networks.nets import DynUNet
from torch import Tensor, nn

from cardiouq.data.plan import Plan
from cardiouq.recipes.network import (
    DROPOUT_PLACES,
    Dropout,
    InstanceNorm,
    build_network,
    in_fast_layout,
    last_decoder_layer,
    mirrored,
)
from cardiouq.structures import N_CLASSES
from cardiouq.training.checkpoints import load_weights

NO_DROPOUT = {"p": 0.0, "place": "all"}


def deeper(plan: Plan, stages: int) -> Plan:
    """The plan with more stages of stride 2 and a patch that they can pool."""
    return replace(
        plan,
        patch_size=(2 ** (stages + 1),) * 2,
        n_stages=stages,
        features_per_stage=(4,) * stages,
        kernel_sizes=((3, 3),) * stages,
        strides=((1, 1),) + ((2, 2),) * (stages - 1),
    )


# nnU-Net puts a head on every decoder stage (stages - 1) and gives the lowest one weight 0
@pytest.mark.parametrize(("stages", "heads"), [(4, 2), (5, 3), (6, 4), (7, 5)])
def test_heads_are_those_nnunet_weighs(plan: Plan, stages: int, heads: int) -> None:
    deep = deeper(plan, stages)
    network = build_network(deep, NO_DROPOUT).train()
    images = torch.zeros(2, 1, *deep.patch_size)
    side = deep.patch_size[0]
    assert [output.shape for output in network(images)] == [
        (2, N_CLASSES, side // 2**head, side // 2**head) for head in range(heads)
    ]
    assert network.eval()(images).shape == (2, N_CLASSES, side, side)


@pytest.mark.parametrize("stages", [4, 5, 7])
@pytest.mark.parametrize("stride", [(2, 2), (2, 1)])
def test_output_is_monai_s_which_brings_heads_to_full_resolution(
    plan: Plan, stages: int, stride: tuple[int, int]
) -> None:
    deep = replace(deeper(plan, stages), strides=((1, 1), *[stride] * (stages - 1)))
    network = build_network(deep, NO_DROPOUT)
    images = torch.randn(2, 1, *deep.patch_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        heads = [nn.functional.interpolate(h, deep.patch_size) for h in network.train()(images)]
        assert torch.equal(torch.stack(heads, dim=1), DynUNet.forward(network, images))
        network.eval()
        assert torch.equal(network(images), DynUNet.forward(network, images))


def test_features_and_strides_are_the_plan_s(plan: Plan) -> None:
    network = build_network(plan, NO_DROPOUT)
    encoder = [network.input_block, *network.downsamples, network.bottleneck]
    convolutions = [stage.conv1.conv for stage in encoder]
    assert tuple(c.out_channels for c in convolutions) == plan.features_per_stage
    assert tuple(c.stride for c in convolutions) == plan.strides
    assert all(c.bias is None for c in convolutions)  # the norm that follows has one


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_normalisation_is_instance_norm_without_running_statistics(
    plan: Plan, dtype: torch.dtype, layout: torch.memory_format
) -> None:
    network = build_network(plan, NO_DROPOUT)
    norms = [m for m in network.modules() if "Norm" in type(m).__name__]
    assert {type(norm) for norm in norms} == {InstanceNorm}
    assert not list(network.buffers())
    for norm in norms:
        with torch.no_grad():
            norm.weight.uniform_()
            norm.bias.uniform_()
        images = (torch.randn(2, norm.num_channels, 8, 8) * 3 + 1).to(dtype, memory_format=layout)
        ours, theirs = images.clone().requires_grad_(), images.float().requires_grad_()
        found = norm(ours)
        expected = nn.functional.instance_norm(
            theirs, weight=norm.weight, bias=norm.bias, eps=norm.eps
        )
        assert found.dtype == dtype
        assert found.stride() == images.stride()
        along = torch.randn(expected.shape).to(dtype, memory_format=layout)
        of_ours = torch.autograd.grad(found, (ours, norm.weight, norm.bias), along)
        of_theirs = torch.autograd.grad(expected, (theirs, norm.weight, norm.bias), along.float())
        tolerance = {"rtol": 0.02, "atol": 0.02} if dtype == torch.bfloat16 else {}
        for value, true in zip((found, *of_ours), (expected, *of_theirs), strict=True):
            torch.testing.assert_close(value.float(), true, **tolerance)


def test_compiled_code_and_gpus_take_group_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function, which they do fast."""
    norm, images = InstanceNorm(4, 4), torch.randn(2, 4, 8, 8)
    on_cpu = norm(images)
    monkeypatch.setattr(nn.functional, "batch_norm", None)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(norm(images), on_cpu)


ENCODER = ("input_block", "downsamples.0", "downsamples.1", "bottleneck")
DECODER = ("upsamples.0", "upsamples.1", "upsamples.2")
STAGES_WITH_DROPOUT = {
    "all": {*ENCODER, *DECODER},
    "encoder": {*ENCODER},
    "decoder": {*DECODER},
    "middle": {"downsamples.1", "bottleneck", "upsamples.0"},
    "bottleneck": {"bottleneck"},
}
"""Stages of the plan's U-Net by the recipe's place; the middle is its three deepest."""


def stages_with_dropout(network: nn.Module) -> set[str]:
    found = re.compile(r"(input_block|bottleneck|(down|up)samples\.\d+|.*)")
    return {
        found.match(name)[1]
        for name, module in network.named_modules()
        if "Dropout" in type(module).__name__ and module.p > 0
    }


@pytest.mark.parametrize("kind", ["element", "channel"])
@pytest.mark.parametrize("place", DROPOUT_PLACES)
def test_dropout_is_active_in_its_place_alone(plan: Plan, place: str, kind: str) -> None:
    network = build_network(plan, {"p": 0.3, "place": place, "kind": kind})
    assert stages_with_dropout(network) == STAGES_WITH_DROPOUT[place]


# of a recipe that does not say it, as those of earlier models
@pytest.mark.parametrize(
    ("kind", "are_whole"), [({}, False), ({"kind": "element"}, False), ({"kind": "channel"}, True)]
)
def test_dropout_drops_elements_or_whole_channels(
    plan: Plan, kind: dict[str, str], are_whole: bool
) -> None:
    network = build_network(plan, {"p": 0.5, "place": "bottleneck", **kind}).train()
    convolution, norm = network.bottleneck.conv1, network.bottleneck.norm1
    seen: list[Tensor] = []
    norm.register_forward_hook(lambda _, features, __: seen.append(features[0]))
    torch.manual_seed(1)
    network(torch.randn(40, 1, 32, 32))
    dropped = (seen[0] == 0).flatten(2).double().mean(2)
    assert dropped.shape == (40, convolution.conv.out_channels)
    whole = (dropped == 0) | (dropped == 1)
    assert whole.all() if are_whole else not whole.any()
    assert dropped.mean() == pytest.approx(0.5, abs=0.08)


def test_middle_of_a_deeper_network_is_its_three_deepest_stages(plan: Plan) -> None:
    network = build_network(deeper(plan, 7), {"p": 0.3, "place": "middle"})
    assert stages_with_dropout(network) == {"downsamples.4", "bottleneck", "upsamples.0"}


# input block 0, two stages below it, the bottleneck 3
@pytest.mark.parametrize(
    ("place", "stage"), [("all", 0), ("encoder", 0), ("middle", 2), ("bottleneck", 3)]
)
def test_first_stage_with_dropout_is_that_of_its_place(plan: Plan, place: str, stage: int) -> None:
    assert build_network(plan, {"p": 0.3, "place": place}).first_dropout_stage() == stage
    assert build_network(plan, {"p": 0.0, "place": place}).first_dropout_stage() == 4


def test_dropout_of_the_decoder_leaves_the_encoder_certain(plan: Plan) -> None:
    assert build_network(plan, {"p": 0.3, "place": "decoder"}).first_dropout_stage() == 4


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("is_channels_last", [False, True])
def test_stages_one_by_one_give_the_output_of_the_whole_bit_for_bit(
    plan: Plan, images: torch.Tensor, is_channels_last: bool
) -> None:
    network: Any = build_network(plan, NO_DROPOUT).eval()
    if is_channels_last:
        network = in_fast_layout(network, torch.device("cpu"))
        weights = network.bottleneck.conv2.conv.weight
        assert weights.is_contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        encoded = network.encode(images)
        decoded = network.decode(encoded)
        assert torch.equal(network.output_block(decoded[-1]), network(images))
    assert [f.shape[1] for f in encoded] == list(plan.features_per_stage)
    assert [f.shape[1] for f in decoded] == list(plan.features_per_stage[-2::-1])
    assert [f.shape[2] for f in encoded] == [32, 16, 8, 4]
    assert [f.shape[2] for f in decoded] == [8, 16, 32]


@pytest.mark.parametrize("last", [-1, 0, 1, 2, 3])
def test_encoding_goes_on_from_the_stages_that_are_known(
    plan: Plan, images: torch.Tensor, last: int
) -> None:
    network = build_network(plan, NO_DROPOUT).eval()
    with torch.inference_mode():
        whole = network.encode(images)
        known = network.encode(images, last=last)
        assert len(known) == last + 1
        went_on = network.encode(images, known=known)
    assert all(torch.equal(a, b) for a, b in zip(whole, went_on, strict=True))
    # what is known is taken as it is, not computed again
    assert all(a is b for a, b in zip(known, went_on[: last + 1], strict=True))
    assert len(known) == last + 1


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 16, 60, 60), (3, 5, 41, 43), (1, 1, 1, 1000)])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_and_scales_as_pytorchs(
    p: float, shape: tuple[int, ...], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    images = (torch.rand(shape) + 1).contiguous(memory_format=layout).requires_grad_()
    ours, theirs = Dropout(p)(images), nn.Dropout(p)(images)
    kept = ours != 0
    deviation = math.sqrt(p * (1 - p) / images.numel())
    for dropped in (~kept, theirs == 0):
        assert abs(dropped.double().mean() - p) < 4 * deviation
    # the share of 2**16 values that is nearest to p
    torch.testing.assert_close(ours[kept], images[kept] / (1 - p), rtol=1e-4, atol=0)
    assert ours.stride() == images.stride()
    ours.sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    torch.testing.assert_close(images.grad, ours.detach() / images.detach())


def test_dropout_draws_each_element_by_itself_and_anew_from_the_seed() -> None:
    images, layer = torch.ones(1, 8, 200, 200), Dropout(0.5)

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return layer(images) != 0

    assert torch.equal(drawn(1), drawn(1))
    masks = [drawn(2).flatten(), drawn(3).flatten()]
    agreement = [(masks[0] == masks[1])]
    agreement += [masks[0][step:] == masks[0][:-step] for step in (1, 2, 3, 4, 200)]
    for agree in agreement:
        assert abs(agree.double().mean() - 0.5) < 4 * 0.5 / math.sqrt(len(agree))
    layer.eval()
    assert layer(images) is images


def test_dropout_in_all_places_leaves_the_logits_alone(plan: Plan) -> None:
    network = build_network(plan, {"p": 0.3, "place": "all"})
    heads = [network.output_block, *network.deep_supervision_heads]
    layers = [m for head in heads for m in head.modules() if "Dropout" in type(m).__name__]
    assert sum(layer.p for layer in layers) == 0


def test_without_dropout_training_mode_draws_nothing(plan: Plan) -> None:
    network = build_network(plan, NO_DROPOUT).train()
    images = torch.randn(1, 1, 32, 32)
    assert all(torch.equal(a, b) for a, b in zip(network(images), network(images), strict=True))


def test_dropout_does_not_rename_parameters(plan: Plan) -> None:
    plain = dict(build_network(plan, NO_DROPOUT).named_parameters())
    dropout = dict(build_network(plan, {"p": 0.1, "place": "all"}).named_parameters())
    assert plain.keys() == dropout.keys()
    assert "input_block.conv1.conv.weight" in plain
    assert "output_block.conv.conv.weight" in plain
    assert not any(name.startswith("skip_layers") for name in plain)


def test_last_decoder_layer_is_the_convolution_whose_output_the_head_reads(plan: Plan) -> None:
    network = build_network(plan, NO_DROPOUT).eval()
    order: list[nn.Module] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda module, *_: order.append(module))
    network(torch.zeros(1, 1, 32, 32))
    head = network.output_block.conv.conv
    before = order[order.index(head) - 1]
    assert torch.equal(last_decoder_layer(network), before.weight.detach().flatten())


def test_weights_of_another_network_are_refused(plan: Plan) -> None:
    weights = dict(build_network(deeper(plan, 5), NO_DROPOUT).named_parameters())
    with pytest.raises(KeyError):
        load_weights(build_network(plan, NO_DROPOUT), weights)


def test_without_axes_nothing_is_mirrored() -> None:
    network = torch.nn.Identity()
    assert mirrored(network, ()) is network
