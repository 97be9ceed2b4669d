"""The pretended GPU refuses what a real one does, and notes where a program would wait for it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.device.pretended_cuda import GPU, Notes, PretendedTensor, pretended_cuda

CUDA = torch.device("cuda")
PATCHED = (
    *((torch, "Generator"), (torch, "autocast"), (torch.amp, "autocast")),
    *((torch.cuda, "_lazy_init"), (torch.cuda, "is_bf16_supported")),
    *(
        (torch.cuda, "get_device_name"),
        (torch.__future__, "_overwrite_module_params_on_conversion"),
    ),
)
REAL = [getattr(module, name) for module, name in PATCHED]


@pytest.fixture
def gpu() -> Iterator[Notes]:
    with pretended_cuda() as notes:
        yield notes


@pytest.fixture
def grid(gpu: Notes) -> Tensor:
    """[[0, 1, 2], [3, 4, 5]] on the GPU."""
    return torch.arange(6.0, device=CUDA).view(2, 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(2, device=CUDA),
        lambda: torch.zeros(2, device="cuda:0"),
        lambda: torch.tensor([1.0, 2.0], device="cuda"),
        lambda: torch.as_tensor(np.ones(2), device=CUDA),
        lambda: torch.ones(2).to(CUDA),
        lambda: torch.ones(2).to("cuda"),
        lambda: torch.ones(2).to(torch.zeros((), device=CUDA)),
        lambda: torch.randn_like(torch.zeros(2, device=CUDA)),
        lambda: torch.zeros(2, device=CUDA).new_ones(2)[1:] + 1,
        lambda: nn.Linear(2, 2).to(CUDA).weight,
        lambda: nn.Linear(2, 2).to(CUDA)(torch.ones(2, device=CUDA)),
    ],
)
def test_what_is_asked_to_be_on_the_gpu_is_there(gpu: Notes, make: Callable[[], Tensor]) -> None:
    tensor = make()
    assert tensor.is_cuda
    assert tensor.device == GPU
    assert not tensor.cpu().is_cuda
    assert tensor.to("cpu").device.type == "cpu"


def test_what_is_made_on_the_cpu_stays_there(gpu: Notes) -> None:
    made = [torch.zeros(2), torch.tensor(1.0), torch.from_numpy(np.ones(2)), nn.Linear(2, 2).weight]
    assert {tensor.device.type for tensor in made} == {"cpu"}
    assert not gpu.waits


def test_network_learns_the_same_there_as_on_the_cpu() -> None:
    def trained(device: torch.device) -> list[Tensor]:
        torch.manual_seed(1)
        convolution = nn.Conv2d(1, 4, 3, padding=1)
        network = nn.Sequential(convolution, nn.GroupNorm(2, 4), nn.LeakyReLU(), nn.Dropout(0.2))
        network.to(device)
        optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
        draw = torch.Generator(device).manual_seed(2)
        for _ in range(3):
            images = torch.empty(2, 1, 8, 8, device=device).normal_(generator=draw)
            loss = functional.cross_entropy(network(images), (images[:, 0] > 0).long())
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.5)
            optimiser.step()
        assert {parameter.device.type for parameter in network.parameters()} == {device.type}
        return [parameter.detach().cpu() for parameter in network.parameters()]

    expected = trained(torch.device("cpu"))
    with pretended_cuda():
        found = trained(CUDA)
    assert all(map(torch.equal, found, expected))


def test_layout_of_a_module_that_is_there_can_be_changed(gpu: Notes) -> None:
    weight = nn.Conv2d(2, 2, 3).to(CUDA).to(memory_format=torch.channels_last).weight
    assert isinstance(weight, PretendedTensor)
    assert weight.stride() == weight.values.stride() == (18, 1, 6, 2)


@pytest.mark.parametrize(
    "mix",
    [
        lambda grid: grid + torch.ones(3),
        lambda grid: torch.ones(3) * grid,
        lambda grid: torch.cat([grid, torch.ones(1, 3)]),
        lambda grid: torch.stack([grid.sum(), torch.tensor(1.0)]),
        lambda grid: torch.zeros(()).add_(grid.sum()),
        lambda grid: functional.cross_entropy(grid, torch.tensor([0, 1])),
        lambda grid: functional.conv2d(grid[None, None], torch.ones(1, 1, 2, 2)),
        lambda grid: nn.Linear(3, 3)(grid),
        lambda grid: torch.ones(2, 3)[grid > 1],
        lambda grid: grid.index_put_([torch.tensor([0])], torch.ones(3)),
        lambda grid: torch.where(grid > 1, grid, torch.ones(2, 3)),
    ],
)
def test_mixing_devices_fails(grid: Tensor, mix: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        mix(grid)


def test_numbers_on_the_cpu_are_no_mixing(grid: Tensor, gpu: Notes) -> None:
    assert (grid * torch.tensor(2.0)).is_cuda
    assert torch.where(grid > 1, grid, torch.tensor(0.0)).is_cuda
    assert not gpu.waits


@pytest.mark.parametrize("convert", [Tensor.numpy, np.asarray, np.exp])
def test_numpy_sees_no_tensor_of_the_gpu(grid: Tensor, convert: Callable[[Tensor], Any]) -> None:
    with pytest.raises(RuntimeError, match="numpy"):
        convert(grid)


@pytest.mark.parametrize(
    ("of_generator", "of_tensor"), [("cpu", "cuda"), ("cuda", "cpu"), ("cpu", "cuda:0")]
)
@pytest.mark.parametrize(
    "draw",
    [
        lambda device, generator: torch.empty(2, device=device).uniform_(generator=generator),
        lambda device, generator: torch.rand(2, device=device, generator=generator),
        lambda device, generator: torch.randint(3, (2,), device=device, generator=generator),
    ],
)
def test_generator_draws_for_its_own_device_alone(
    gpu: Notes, of_generator: str, of_tensor: str, draw: Callable[..., Tensor]
) -> None:
    generator = torch.Generator(of_generator).manual_seed(1)
    draw(of_generator, generator)
    with pytest.raises(RuntimeError, match="device type for generator"):
        draw(of_tensor, generator)


@pytest.mark.parametrize(
    ("what", "wait"),
    [
        ("a value is asked for", lambda grid: grid[0, 0].item()),
        ("a value is asked for", lambda grid: float(grid.mean())),
        ("a value is asked for", lambda grid: bool((grid > 1).any())),
        ("a value is asked for", lambda grid: grid.max() > 1 or None),
        ("tensors are compared", lambda grid: torch.allclose(grid, grid)),
        ("tensors are compared", lambda grid: torch.equal(grid, grid)),
        ("a copy to the CPU", lambda grid: grid.tolist()),
        ("a copy to the CPU", lambda grid: grid.cpu()),
        ("a copy to the CPU", lambda grid: grid.to("cpu")),
        ("a copy to the CPU", lambda grid: torch.zeros(2, 3).copy_(grid)),
        ("a copy to the GPU", lambda grid: torch.zeros(2, 3).to(grid)),
        ("a copy to the GPU", lambda grid: torch.zeros(2, 3).to(CUDA)),
        ("a copy to the GPU", lambda grid: torch.tensor([1.0], device=CUDA)),
        ("a copy to the GPU", lambda grid: grid.copy_(torch.zeros(2, 3))),
        ("a copy to the GPU", lambda grid: grid[0].__setitem__(1, 2.0)),
        ("a copy to the GPU", lambda grid: grid.__setitem__((0, 1), 2)),
        ("a size depends on a mask", lambda grid: grid[grid > 1]),
        ("a size depends on a mask", lambda grid: grid.__setitem__(grid > 1, 0.0)),
        ("a size depends on values", lambda grid: grid.nonzero()),
        ("a size depends on values", lambda grid: torch.where(grid > 1)),
        ("a size depends on values", lambda grid: grid.masked_select(grid > 1)),
        ("a size depends on values", lambda grid: grid.unique()),
        ("a size depends on values", lambda grid: grid.long().flatten().bincount(minlength=9)),
        ("an index is copied to the GPU", lambda grid: grid[torch.tensor([1, 0])]),
        ("a decomposition is checked", lambda grid: torch.linalg.inv(grid[:, :2] + 1)),
        ("a decomposition is checked", lambda grid: torch.linalg.cholesky(grid @ grid.T)),
    ],
)
def test_each_wait_for_the_gpu_is_noted_once_with_its_line(
    grid: Tensor, gpu: Notes, what: str, wait: Callable[[Tensor], Any]
) -> None:
    wait(grid)
    place = f"test_pretended_cuda.py:{wait.__code__.co_firstlineno}"
    assert gpu.waits == {(what, place): 1}


@pytest.mark.parametrize(
    "compute",
    [
        lambda grid: grid.to("cpu", non_blocking=True),
        lambda grid: torch.zeros(2, 3).to(CUDA, non_blocking=True),
        lambda grid: grid.copy_(torch.zeros(2, 3), non_blocking=True),
        lambda grid: grid.to(CUDA).to(grid).to(torch.float64),
        lambda grid: grid[torch.tensor([1, 0], device="cpu").to(CUDA, non_blocking=True)],
        lambda grid: torch.where(grid > 1, grid, 0.0).softmax(0).masked_fill(grid > 2, 1.0),
        lambda grid: torch.linalg.cholesky_ex(grid.T @ grid),
        lambda grid: torch.zeros(2, 2).nonzero(),
        lambda grid: torch.zeros(2).__setitem__(0, 1.0),
        lambda grid: grid[0].__setitem__(slice(1), 2.0),
        lambda grid: grid.__setitem__(0, 2.0),
        lambda grid: grid.gather(1, torch.zeros(2, 1, dtype=torch.long, device=CUDA)),
    ],
)
def test_what_the_gpu_does_alone_is_no_wait(
    grid: Tensor, gpu: Notes, compute: Callable[[Tensor], Any]
) -> None:
    compute(grid)
    assert not gpu.waits


def upsampled(grid: Tensor) -> Tensor:
    return functional.interpolate(grid[None, None], (4, 6), mode="bilinear").sum()


def sampled(grid: Tensor) -> Tensor:
    places = torch.zeros(1, 2, 2, 2, device=CUDA)
    return functional.grid_sample(grid[None, None], places, align_corners=False).sum()


def likelihood(grid: Tensor) -> Tensor:
    return functional.cross_entropy(
        grid[None, :, :, None], torch.ones_like(grid[:1, :, None]).long()
    )


NONDETERMINISTIC = [
    ("nll_loss2d_forward", likelihood),
    ("grid_sampler_2d_backward", sampled),
    ("upsample_bilinear2d_backward", upsampled),
]


@pytest.mark.parametrize(("name", "function"), NONDETERMINISTIC)
def test_what_may_come_out_otherwise_is_noted(
    grid: Tensor, gpu: Notes, name: str, function: Callable[[Tensor], Tensor]
) -> None:
    function(grid.requires_grad_()).backward()
    assert [what for what, _ in gpu.nondeterministic] == [name]


@pytest.mark.parametrize(("name", "function"), NONDETERMINISTIC[:2])
def test_what_may_come_out_otherwise_fails_where_that_is_forbidden(
    grid: Tensor, name: str, function: Callable[[Tensor], Tensor]
) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(RuntimeError, match=f"{name} does not have a deterministic"):
            function(grid.requires_grad_()).backward()
        upsampled(grid).backward()  # which PyTorch then does in another way
    finally:
        torch.use_deterministic_algorithms(False)


def test_autocast_lowers_products_and_keeps_norms_and_losses(gpu: Notes) -> None:
    images = torch.ones(1, 4, 2, 2, device=CUDA)
    convolution = nn.Conv2d(4, 4, 1).to(CUDA)
    with torch.autocast("cuda", torch.bfloat16):
        lowered = convolution(images)
        assert lowered.dtype == (images[0, 0] @ images[0, 0]).dtype == torch.bfloat16
        assert functional.group_norm(lowered, 2).dtype == torch.float32
        assert functional.cross_entropy(lowered, images[:, 0].long()).dtype == torch.float32
        with torch.autocast("cuda", enabled=False):
            assert convolution(images).dtype == torch.float32
    assert convolution(images).dtype == torch.float32
    lowered.sum().backward()
    assert convolution.weight.grad is not None
    assert convolution.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_nothing_of_it_stays(error: type[BaseException] | None) -> None:
    def pretend() -> None:
        with pretended_cuda(bf16=False) as notes:
            tensors.append(torch.zeros(2, device=CUDA))
            assert not torch.cuda.is_bf16_supported(including_emulation=False)
            assert not notes.waits
            assert all(getattr(*each) != real for each, real in zip(PATCHED, REAL, strict=True))
            if error:
                raise error

    tensors: list[Tensor] = []
    if error:
        with pytest.raises(error):
            pretend()
    else:
        pretend()
    assert [getattr(module, name) for module, name in PATCHED] == REAL
    assert torch.zeros(2).to("cpu").device.type == "cpu"
    assert isinstance(tensors[0], PretendedTensor)
    with pytest.raises(RuntimeError, match="after its end"):
        tensors[0] + 1
    if not torch.cuda.is_available():
        with pytest.raises((RuntimeError, AssertionError)):
            torch.zeros(2, device=CUDA)
