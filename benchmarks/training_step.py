"""A training step of the laptop study's network: layouts and precisions beside one another.

    make bench-training

Forward pass, loss and backward pass of a batch of 8 patches of 128 x 128, in alternating rounds on
one core. The peer is nnU-Net's own way on a CPU: PyTorch's instance norm, float32, the default
layout; a ratio is its time over the candidate's in the same round, the median of all rounds.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from cardiouq.data.plan import Plan
from cardiouq.device.choose import trains_in_bf16
from cardiouq.recipes.loss import DeepSupervisionLoss
from cardiouq.recipes.network import UNet, build_network, channels_last

ROUNDS = 15
PLAN = Plan(
    spacing=(2.0, 2.0),
    patch_size=(128, 128),
    features_per_stage=(16, 32, 64, 128, 128),
    kernel_sizes=((3, 3),) * 5,
    strides=((1, 1), *((2, 2),) * 4),
    batch_size=8,
    n_stages=5,
)


def with_instance_norm() -> UNet:
    """The network as it would be with PyTorch's instance norm."""
    network = build_network(PLAN, {"p": 0.0, "place": "all"})
    for module in network.modules():
        for child, norm in list(module.named_children()):
            if isinstance(norm, nn.GroupNorm):
                instance_norm = nn.InstanceNorm2d(norm.num_channels, eps=norm.eps, affine=True)
                setattr(module, child, instance_norm)
    return network


def step_of(network: nn.Module, *, bf16: bool) -> Callable[[], None]:
    """A function that takes one step."""
    loss_of = DeepSupervisionLoss(heads=1 + int(network.deep_supr_num))
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(PLAN.batch_size, 1, *PLAN.patch_size, generator=draw)
    labels = torch.randint(0, 4, images.shape, generator=draw).to(torch.uint8)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            heads = network(images)
        network.zero_grad()
        loss_of([head.float() for head in heads], labels).backward()

    return step


def main() -> None:
    torch.set_num_threads(1)
    own = build_network(PLAN, {"p": 0.0, "place": "all"})
    precisions = [False, True] if trains_in_bf16(torch.device("cpu")) else [False]
    candidates = {
        "instance norm, float32, default layout": step_of(with_instance_norm(), bf16=False)
    }
    for bf16 in precisions:
        name = "bf16" if bf16 else "float32"
        default = build_network(PLAN, {"p": 0.0, "place": "all"})
        candidates[f"group norm, {name}, default layout"] = step_of(default, bf16=bf16)
        last = channels_last(build_network(PLAN, {"p": 0.0, "place": "all"}))
        candidates[f"group norm, {name}, channels last"] = step_of(last, bf16=bf16)
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, step in candidates.items():
            start = time.process_time()
            step()
            seconds[name].append(time.process_time() - start)
    peer, *_ = seconds.values()
    print(f"{sum(p.numel() for p in own.parameters()):,} weights, {ROUNDS} rounds, CPU time")
    print(f"{'':42}{'ms':>6}{'peer / it':>11}")
    for name, taken in seconds.items():
        ratio = statistics.median(theirs / its for theirs, its in zip(peer, taken, strict=True))
        print(f"{name:42}{1000 * statistics.median(taken):6.0f}{ratio:11.2f}")


if __name__ == "__main__":
    main()
