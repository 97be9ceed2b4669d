"""Layer ensembles: heads on every stage, all from one pass."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cardiouq.data.plan import Plan
from cardiouq.errors import CardiouqError
from cardiouq.methods.base import Training, split_classes
from cardiouq.methods.layer_ensemble import LayerEnsemble, Method, Variant, upsampled
from cardiouq.recipes.network import UNet
from cardiouq.recipes.schedule import PolynomialSchedule
from tests.recipes import peers

MakeNetwork = Callable[..., UNet]
MakeTraining = Callable[..., Training]
SCHEDULE = PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9)
HEADS = 8
"""Four stages of the encoder, three of the decoder, the network's own output."""


@pytest.fixture
def ensemble(make_network: MakeNetwork) -> LayerEnsemble:
    network = Variant().network(make_network())
    assert isinstance(network, LayerEnsemble)
    return network


def test_output_has_the_logits_of_every_head(ensemble: LayerEnsemble, images: Tensor) -> None:
    output, heads = ensemble.eval()(images), ensemble.train()(images)
    assert output.shape == (2, HEADS * 4, 32, 32)
    assert torch.equal(torch.cat(heads, dim=1), output)
    assert len(heads) == HEADS


SIZES = {
    "a patch's stages": [((2, 3), (32, 48)), ((8, 12), (32, 48)), ((16, 24), (32, 48))],
    "one axis alone": [((4, 48), (32, 48)), ((32, 1), (32, 48))],
    "no whole number of times": [((3, 5), (16, 13)), ((7, 2), (10, 31)), ((1, 1), (5, 9))],
    "its own": [((32, 48), (32, 48)), ((1, 7), (1, 7))],
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_heads_are_brought_to_full_size_by_bilinear_interpolation(
    sizes: list[tuple[tuple[int, int], tuple[int, int]]],
) -> None:
    draw = torch.Generator().manual_seed(1)
    for there, here in sizes:
        logits = torch.randn(3, 4, *there, generator=draw).requires_grad_()
        weights = torch.randn(3, 4, *here, generator=draw)
        ours, theirs = upsampled(logits, here), interpolate(logits, here, mode="bilinear")
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=0)
        gradients = [torch.autograd.grad((weights * of).sum(), logits)[0] for of in (ours, theirs)]
        torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("there", [(4, 7), (16, 14), (128, 112)])
def test_heads_are_brought_to_full_size_in_float32_whatever_they_are_computed_in(
    there: tuple[int, int],
) -> None:
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 4, *there, generator=draw).bfloat16().requires_grad_()
    weights = torch.randn(2, 4, 256, 224, generator=draw)
    with torch.autocast("cpu", torch.bfloat16):
        found = upsampled(logits, (256, 224))
    assert found.dtype == torch.float32
    exact = interpolate(logits.float(), (256, 224), mode="bilinear")
    torch.testing.assert_close(found, exact, atol=2e-6, rtol=0)
    ours, theirs = (torch.autograd.grad((weights * of).sum(), logits)[0] for of in (found, exact))
    torch.testing.assert_close(ours, theirs)  # to bf16's rounding


def test_heads_come_from_shallow_to_deep_and_up_again(
    ensemble: LayerEnsemble, images: Tensor
) -> None:
    sizes = []
    with torch.no_grad():
        for index, head in enumerate(ensemble.heads):
            head.weight.zero_()
            head.bias.fill_(float(index))
            head.register_forward_hook(lambda _, inputs, __: sizes.append(inputs[0].shape[1:]))
    *heads, own = split_classes(ensemble.eval()(images))
    assert [tuple(size) for size in sizes] == [
        (4, 32, 32),
        (8, 16, 16),
        (16, 8, 8),
        (16, 4, 4),
        (16, 8, 8),
        (8, 16, 16),
        (4, 32, 32),
    ]
    for index, logits in enumerate(heads):
        assert (logits == index).all()
    assert torch.equal(own, ensemble.unet(images))


def test_encoder_s_and_decoder_s_features_are_not_mixed_up(
    ensemble: LayerEnsemble, images: Tensor
) -> None:
    """Without the decoder, the encoder's heads say the same and the decoder's do not."""
    before = list(split_classes(ensemble.eval()(images)))
    with torch.no_grad():
        for parameter in ensemble.unet.upsamples.parameters():
            parameter.zero_()
    after = list(split_classes(ensemble(images)))
    same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [True] * 4 + [False] * 4


def test_all_heads_come_from_one_pass(ensemble: LayerEnsemble, images: Tensor) -> None:
    counted: Counter[nn.Module] = Counter()
    for module in ensemble.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda module, *_: counted.update([module]))
    ensemble.eval()(images)
    assert set(counted.values()) == {1}
    assert set(ensemble.heads) < set(counted)


@pytest.mark.parametrize("labels", peers.ANNOTATED.values(), ids=peers.ANNOTATED.keys())
def test_loss_is_the_sum_of_the_heads_soft_dice(
    labels: Tensor, make_training: MakeTraining
) -> None:
    draw = torch.Generator().manual_seed(1)
    heads = [
        torch.randn(peers.BATCH, 4, *peers.SIZE, generator=draw).double().requires_grad_()
        for _ in range(HEADS)
    ]
    dice = peers.at_full_resolution(peers.DICE)
    theirs = torch.stack([dice(logits, labels) for logits in heads]).sum()
    peers.assert_same(Variant().loss(heads, labels, make_training()), theirs, *heads)


def test_gradients_reach_every_head(
    ensemble: LayerEnsemble, images: Tensor, labels: Tensor, make_training: MakeTraining
) -> None:
    heads = ensemble.train()(images)
    Variant().loss(heads, labels, make_training(network=ensemble)).backward()
    for head in [*ensemble.heads, ensemble.unet.output_block.conv.conv]:
        assert head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("skip", [0, 3, 7])
def test_skipped_are_the_shallowest_heads(
    skip: int, ensemble: LayerEnsemble, make_run: Any, images: Tensor
) -> None:
    run = make_run({7: ensemble.eval})
    [draw] = Method(skip=skip).draws([run], SCHEDULE, {})
    samples = list(draw.logits(draw.network(images)))
    assert len(samples) == len(draw.samples) == HEADS - skip
    everything = ensemble(images)
    assert torch.equal(torch.cat(samples, 1), everything[:, 4 * skip :])


def test_skipping_every_head_is_an_error(ensemble: LayerEnsemble, make_run: Any) -> None:
    with pytest.raises(CardiouqError, match="skip"):
        list(Method(skip=HEADS).draws([make_run({7: ensemble.eval})], SCHEDULE, {}))


@pytest.mark.parametrize(("skip", "count"), [(0, HEADS), (5, HEADS - 5), (HEADS + 1, 1)])
def test_samples_are_the_heads_that_are_left_and_one_where_a_plan_is_a_guess(
    skip: int, count: int, plan: Plan
) -> None:
    assert Method(skip=skip).sample_count(SCHEDULE, plan) == count


def test_training_curves_are_of_every_head(ensemble: LayerEnsemble, images: Tensor) -> None:
    output = ensemble.eval()(images)
    samples = Variant().logits(output)
    assert samples.shape == (HEADS, 2, 4, 32, 32)
    assert torch.equal(samples[-1], output[:, -4:])
