"""Layer ensembles: heads on every stage, all from one pass."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.losses import DiceLoss
from torch import Tensor, nn

from cardiouq.errors import CardiouqError
from cardiouq.methods.base import Training, split_classes
from cardiouq.methods.layer_ensemble import LayerEnsemble, Method, Variant
from cardiouq.recipes.network import UNet
from cardiouq.recipes.schedule import PolynomialSchedule

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


@pytest.mark.parametrize("training", [True, False])
def test_output_has_the_logits_of_every_head(
    training: bool, ensemble: LayerEnsemble, images: Tensor
) -> None:
    assert ensemble.train(training)(images).shape == (2, HEADS * 4, 32, 32)


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


def test_loss_is_the_sum_of_the_heads_soft_dice(
    ensemble: LayerEnsemble, images: Tensor, labels: Tensor, make_training: MakeTraining
) -> None:
    output = ensemble(images).detach()
    loss = Variant().loss(output, labels, make_training(network=ensemble))
    dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    by_hand = [dice(output[:, 4 * head : 4 * head + 4], labels) for head in range(HEADS)]
    assert float(loss) == pytest.approx(float(sum(by_hand)), rel=1e-5)


def test_gradients_reach_every_head(
    ensemble: LayerEnsemble, images: Tensor, labels: Tensor, make_training: MakeTraining
) -> None:
    output = ensemble.train()(images)
    Variant().loss(output, labels, make_training(network=ensemble)).backward()
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


def test_training_curves_are_of_every_head(ensemble: LayerEnsemble, images: Tensor) -> None:
    output = ensemble.eval()(images)
    samples = Variant().logits(output)
    assert samples.shape == (HEADS, 2, 4, 32, 32)
    assert torch.equal(samples[-1], output[:, -4:])
