"""Checkpoints: weights and states of a training, as safetensors, data that run no code."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from cardiouq.errors import CardiouqError
from cardiouq.files.reading import read, to_delete
from cardiouq.files.writing import atomic_write


def save_state(
    path: Path,
    epoch: int,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    extra: Tensor,
    selected: Mapping[str, Tensor],
) -> None:
    """Save what is needed to go on with the epoch after `epoch`; `selected` are weights of one
    before it, or nothing."""
    tensors = {f"network/{name}": value.detach() for name, value in network.named_parameters()}
    for index, values in optimiser.state_dict()["state"].items():
        for name, value in values.items():
            tensors[f"optimiser/{index}/{name}"] = torch.as_tensor(value)
    tensors |= {f"selected/{name}": value for name, value in selected.items()}
    tensors["extra"] = extra
    tensors["epoch"] = torch.tensor(epoch)
    save_tensors(tensors, path)


def load_state(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, Tensor, dict[str, Tensor]]:
    """Restore what `save_state` kept; returns the epoch to go on with, `extra` and `selected`."""
    tensors = load_tensors(path)
    weights, selected = (
        {name.removeprefix(of): value for name, value in tensors.items() if name.startswith(of)}
        for of in ("network/", "selected/")
    )
    load_weights(network, weights)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser/"):
            _, index, key = name.split("/")
            state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
    for parameter, values in optimiser.state.items():
        for name, value in values.items():
            if value.shape == parameter.shape:
                # fused optimisers go through the memory of both alike, whatever their layouts
                values[name] = torch.empty_like(parameter).copy_(value)
    return int(tensors["epoch"]) + 1, tensors["extra"], selected


def load_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights into a network; raises KeyError if they are another network's.

    Parameters are the whole state: instance norm keeps no running statistics. (MONAI's network
    registers its blocks twice, so its `state_dict` names every tensor twice.)
    """
    parameters = dict(network.named_parameters())
    if parameters.keys() != weights.keys():
        raise KeyError(sorted(parameters.keys() ^ weights.keys()))
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, atomically."""
    with atomic_write(path) as temporary:
        # not `save_file`, whose files no other user can read
        temporary.write_bytes(save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; a missing or broken one is a CardiouqError that names it."""
    content = read(path)
    try:
        tensors: dict[str, Tensor] = load(content)
    except Exception as error:  # broken bytes bring out any
        raise CardiouqError(
            f"{path}: cannot be read as safetensors ({error}); delete the run's folder "
            f"{to_delete(path)} and run again to train it anew"
        ) from error
    return tensors
