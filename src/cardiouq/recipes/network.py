"""The 2D network that nnU-Net would configure, from MONAI's parts."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from monai.networks.blocks.dynunet_block import UnetUpBlock
from monai.networks.nets import DynUNet
from torch import Tensor, nn
from torch.nn import functional

from cardiouq.data.plan import Plan
from cardiouq.device.choose import has_bf16
from cardiouq.structures import N_CLASSES

DROPOUT_PLACES = {
    "all": ("input_block", "downsamples", "bottleneck", "upsamples"),
    "encoder": ("input_block", "downsamples", "bottleneck"),
    "decoder": ("upsamples",),
    "middle": ("downsamples.{last}.", "bottleneck", "upsamples.0."),
    "bottleneck": ("bottleneck",),
}
"""Parts of the U-Net that keep their dropout layers, by the recipe's `dropout.place`. Ng et al.
(IEEE TBME 2022) do not say which layers are the middle ones: here the two deepest stages of the
encoder and the deepest of the decoder."""

DROPOUTS = (nn.Dropout, nn.Dropout2d)
"""Layers that drop single elements, and those that drop channels."""
TILES_AT_ONCE = 8
"""Tiles of slices that go through a network together when it predicts."""
BITS = 2**16
"""Values that the bits of an element's dropout have."""


class UNet(DynUNet):  # type: ignore[misc]
    """MONAI's U-Net, which can also be asked for the features of its stages.

    In training mode its output is a list of logits (batch, classes, rows, columns): those of the
    full resolution, then those of each head of deep supervision at that head's own. In evaluation
    mode it is the full resolution's alone.
    """

    def get_upsamples(self) -> nn.ModuleList:
        """The decoder, each stage of the kernel of the encoder's stage beside it, as nnU-Net v2 has
        it; MONAI's are of the stage below, which is another where pixels are not square."""
        upsamples: nn.ModuleList = self.get_module_list(
            self.filters[1:][::-1],
            self.filters[:-1][::-1],
            self.kernel_size[:-1][::-1],
            self.strides[1:][::-1],
            UnetUpBlock,
            self.upsample_kernel_size[::-1],
            trans_bias=self.trans_bias,
        )
        return upsamples

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """Logits of images (batch, 1, rows, columns)."""
        *coarse, last = self.decode(self.encode(images))
        logits: Tensor = self.output_block(last)
        if not self.training:
            return logits
        heads = zip(self.deep_supervision_heads, reversed(coarse), strict=False)
        return [logits, *(head(features) for head, features in heads)]

    @property
    def encoder_stages(self) -> list[nn.Module]:
        """The stages of the encoder, from the input down to the bottleneck."""
        return [self.input_block, *self.downsamples, self.bottleneck]

    def encode(
        self, images: Tensor, *, known: Sequence[Tensor] = (), last: int | None = None
    ) -> list[Tensor]:
        """Features of each stage of the encoder, from the input down to the bottleneck.

        Args:
            images: (batch, 1, rows, columns).
            known: features of the first stages, which are not computed again.
            last: index of the last stage to compute (-1: none); None is the bottleneck's.
        """
        features = list(known)
        for stage in self.encoder_stages[len(known) : None if last is None else last + 1]:
            features.append(stage(features[-1] if features else images))
        return features

    def decode(self, encoded: Sequence[Tensor]) -> list[Tensor]:
        """Features of each stage of the decoder, from the one above the bottleneck up."""
        features: list[Tensor] = []
        for stage, skipped in zip(self.upsamples, reversed(encoded[:-1]), strict=True):
            features.append(stage(features[-1] if features else encoded[-1], skipped))
        return features

    def first_dropout_stage(self) -> int:
        """Index of the encoder's first stage with dropout; the number of stages if none has."""
        has_dropout = [
            any(isinstance(module, DROPOUTS) and module.p > 0 for module in stage.modules())
            for stage in self.encoder_stages
        ]
        return [*has_dropout, True].index(True)


def build_network(plan: Plan, dropout: Mapping[str, Any], *, n_classes: int = N_CLASSES) -> UNet:
    """Plain convolutional U-Net with instance norm, leaky ReLU and deep supervision.

    Dropout, where a recipe asks for it, follows each convolution of the chosen part, and drops
    single elements or, as nnU-Net v1 is written, whole channels.
    """
    network = UNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=n_classes,
        kernel_size=[list(kernel) for kernel in plan.kernel_sizes],
        strides=[list(stride) for stride in plan.strides],
        upsample_kernel_size=[list(stride) for stride in plan.strides[1:]],
        filters=list(plan.features_per_stage),
        norm_name=("INSTANCE", {"affine": True}),  # replaced below
        dropout=dropout["p"] or None,
        trans_bias=True,
        deep_supervision=True,
        # nnU-Net gives the lowest decoder stage weight 0; the full resolution is not counted here
        deep_supr_num=max(1, plan.n_stages - 3),
    )
    network.bottleneck.is_bottleneck = True
    places = tuple(part.format(last=plan.n_stages - 3) for part in DROPOUT_PLACES[dropout["place"]])
    # recipes as they are written, and those of earlier models, may not say it
    is_of_channels = dropout.get("kind", "element") == "channel"
    kind = nn.Dropout2d if is_of_channels else Dropout
    for name, module in network.named_modules():
        in_place = name.startswith(places)
        for child, layer in list(module.named_children()):
            if isinstance(layer, nn.Dropout):
                setattr(module, child, kind(layer.p if in_place else 0.0))
            if isinstance(layer, nn.InstanceNorm2d):
                channels = layer.num_features
                setattr(module, child, InstanceNorm(channels, channels, eps=layer.eps))
    return network


def mirrored(
    network: Callable[[Tensor], Tensor], axes: Sequence[int]
) -> Callable[[Tensor], Tensor]:
    """The mean of a network's logits over an image and all of its mirror images.

    Args:
        network: from (batch, 1, rows, columns) to (batch, channels, rows, columns).
        axes: that are mirrored, 0 rows and 1 columns; none: it is the network itself.
    """
    if not axes:
        return network
    flips = [
        [axis + 2 for axis in flipped]
        for n in range(len(axes) + 1)
        for flipped in combinations(axes, n)
    ]

    def mean(images: Tensor) -> Tensor:
        total = torch.zeros(())
        for flip in flips:
            total = total + network(images.flip(flip)).flip(flip)
        return total / len(flips)

    return mean


def is_bottleneck(module: nn.Module) -> bool:
    """Whether a module is the deepest stage of a `UNet` of `build_network`, or a copy of it."""
    return getattr(module, "is_bottleneck", False)


def is_eager_on_cpu(tensor: Tensor) -> bool:
    """Whether what is computed with a tensor runs on a CPU, and is not being compiled."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


class InstanceNorm(nn.GroupNorm):
    """Instance norm, as group norm with one channel a group, which compiled code and GPUs do fast.

    In the channels-last layout of a CPU's convolutions PyTorch is slow at both norms, and at batch
    norm it is not: there it is that of each image alone, the same function.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel (rows, columns) of each image."""
        if not is_eager_on_cpu(input):
            return super().forward(input)
        images = [
            functional.batch_norm(image, None, None, self.weight, self.bias, True, eps=self.eps)
            for image in torch.split(input, 1)
        ]
        return torch.cat(images)


class Dropout(nn.Dropout):
    """Dropout whose masks take a CPU half the time (`benchmarks/dropout.py`).

    PyTorch draws a float for each element and compares it; here an element has 16 bits of its own,
    which is the precision of `p`. On a GPU, and compiled, it is PyTorch's.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Drop elements and scale the others, as `torch.nn.Dropout` does."""
        if not (self.training and self.p and is_eager_on_cpu(input)):
            return super().forward(input)
        dropped = round(self.p * BITS)
        words = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        strides = torch.empty_like(input).stride()  # channels last, if the input is
        bits = words.view(torch.int16).as_strided(input.shape, strides)
        mask = (bits >= dropped - BITS // 2).to(input.dtype)
        return input * mask.mul_(BITS / (BITS - dropped))


def in_fast_layout(
    network: nn.Module, device: torch.device, *, is_compiled: bool = False
) -> nn.Module:
    """The network on a device, in the layout in which it is fast there.

    For convolutions that is channels-last. A GPU's norm is slow in it in bf16, unless it is
    compiled into one with what surrounds it.
    """
    if device.type == "cpu" or is_compiled or not has_bf16(device):
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to(device)


def last_decoder_layer(network: nn.Module) -> Tensor:
    """Weights of the last convolution before the segmentation head, flattened.

    Of one that is parametrized (`torch.nn.utils.parametrize`) they are the original ones. A network
    that is no U-Net of MONAI's has none.
    """
    found = [
        parameter
        for name, parameter in network.named_parameters()
        if "upsamples" in name and "conv2.conv" in name and name.endswith(("weight", "original"))
    ]
    return found[-1].detach().flatten() if found else torch.empty(0)
