"""The 2D network that nnU-Net would configure, from MONAI's parts."""

from collections.abc import Sequence
from typing import Any

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import DynUNet
from torch import Tensor, nn

from cardiouq.data.plan import Plan
from cardiouq.structures import N_CLASSES

DROPOUT_PLACES = {
    "all": ("input_block", "downsamples", "bottleneck", "upsamples"),
    "encoder": ("input_block", "downsamples", "bottleneck"),
    "decoder": ("upsamples",),
    "bottleneck": ("bottleneck",),
}
"""Parts of the U-Net that keep their dropout layers, by the recipe's `dropout.place`."""


def build_network(plan: Plan, dropout: dict[str, Any]) -> DynUNet:
    """Plain convolutional U-Net with instance norm, leaky ReLU and deep supervision.

    Instance norm is written as group norm with one channel a group, the same function, because only
    that is fast in the channels-last layout, in which convolutions on a CPU take half the time.

    Dropout, where a recipe asks for it, follows each convolution of the chosen part. In training
    mode the network returns logits (batch, heads, classes, rows, columns), the heads of lower
    stages brought to full resolution; in evaluation mode (batch, classes, rows, columns).
    """
    network = DynUNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=N_CLASSES,
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
    for name, module in network.named_modules():
        in_place = name.startswith(DROPOUT_PLACES[dropout["place"]])
        if isinstance(module, nn.Dropout) and not in_place:
            module.p = 0.0
        for child, norm in list(module.named_children()):
            if isinstance(norm, nn.InstanceNorm2d):
                channels = norm.num_features
                setattr(module, child, nn.GroupNorm(channels, channels, eps=norm.eps))
    return network.to(memory_format=torch.channels_last)


def last_decoder_layer(network: DynUNet) -> Tensor:
    """Weights of the last convolution before the segmentation head, flattened."""
    weight: Tensor = network.upsamples[-1].conv_block.conv2.conv.weight
    return weight.detach().flatten()


class DeepSupervisionLoss(nn.Module):
    """Dice + cross-entropy over all heads, each head with half the weight of the one above."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        weights = torch.tensor([0.5**head for head in range(heads)])
        self.weights: Sequence[float] = (weights / weights.sum()).tolist()
        # nnU-Net's 2D setting: Dice over the batch as one, background left out
        self.head_loss = DiceCELoss(
            include_background=False,
            to_onehot_y=True,
            softmax=True,
            batch=True,
            smooth_nr=1e-5,
            smooth_dr=1e-5,
        )

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits (batch, heads, classes, rows, columns) on labels (batch, 1, rows,
        columns)."""
        losses = [
            weight * self.head_loss(logits[:, head], labels)
            for head, weight in enumerate(self.weights)
        ]
        return torch.stack(losses).sum()
