"""The side folder of a run in progress: everything needed to go on after an interruption.

A run grows in a side folder and becomes the output when it is complete.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from cardiouq.errors import CardiouqError
from cardiouq.files.seals import RUN_FILE, read, to_delete
from cardiouq.files.writing import SUMS, sums_of, write_sums, written_whole
from cardiouq.provenance.record import code_hash, machines, repository


class SideFolder:
    """Where a run grows until it is complete; `identity` says which run it is."""

    def __init__(self, output: Path, identity: dict[str, Any]) -> None:
        self.output = output
        self.path = output.with_name(f".{output.name}.unfinished")
        self.products = self.path / "products"
        self.state = self.path / "resume.safetensors"
        self.identity = json.dumps(identity, indent=2, sort_keys=True) + "\n"
        (self.products / "checkpoints").mkdir(parents=True, exist_ok=True)
        identity_file = self.products / RUN_FILE
        if not identity_file.is_file() or read(identity_file) != self.identity.encode():
            # other data or settings than the interrupted run's: its state is of no use
            shutil.rmtree(self.path)
            (self.products / "checkpoints").mkdir(parents=True)
        with written_whole(identity_file) as temporary:
            temporary.write_text(self.identity, encoding="utf-8")

    def is_finished(self) -> bool:
        """Whether the output is this run, trained by the present code.

        Snakemake runs a job again whose end it did not see.
        """
        file = self.output / RUN_FILE
        return (
            file.is_file()
            and read(file) == self.identity.encode()
            and code_hash(repository()) in {machine["code"] for machine in machines(self.output)}
        )

    def finish(self) -> None:
        """Turn the products into the output; the state goes last, so a kill here costs nothing.

        `run.json` comes after all other files: it stands for a whole run.
        """
        if self.output.is_dir():
            shutil.rmtree(self.output)
        self.output.mkdir()
        sums = sums_of(self.products)
        write_sums(self.output / SUMS, sums)
        for name in sorted(sums, key=lambda name: (name == RUN_FILE, name)):
            target = self.output / name
            target.parent.mkdir(exist_ok=True)
            _link(str(self.products / name), str(target))
        self.remove()

    def remove(self) -> None:
        """Renamed first: a kill while it is deleted leaves no half state to resume."""
        done = self.path.with_suffix(".done")
        shutil.rmtree(done, ignore_errors=True)  # of a kill at this point
        self.path.replace(done)
        shutil.rmtree(done)


def save_state(
    path: Path, epoch: int, network: nn.Module, optimiser: torch.optim.Optimizer, extra: Tensor
) -> None:
    """Keep what is needed to go on with the epoch after `epoch`."""
    tensors = {f"network/{name}": value.detach() for name, value in network.named_parameters()}
    for index, values in optimiser.state_dict()["state"].items():
        for name, value in values.items():
            tensors[f"optimiser/{index}/{name}"] = torch.as_tensor(value)
    tensors["extra"] = extra
    tensors["epoch"] = torch.tensor(epoch)
    save_tensors(tensors, path)


def load_state(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, Tensor]:
    """Restore what `save_state` kept; returns the epoch to go on with and `extra`."""
    tensors = load_tensors(path)
    load_weights(
        network,
        {
            name.removeprefix("network/"): value
            for name, value in tensors.items()
            if name.startswith("network/")
        },
    )
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser/"):
            _, index, key = name.split("/")
            state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
    return int(tensors["epoch"]) + 1, tensors["extra"]


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # some network file systems have no hard links
        shutil.copy2(source, target)


def load_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Put weights into a network; raises KeyError if they are another network's.

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
    """Write tensors as safetensors, whole or not at all."""
    with written_whole(path) as temporary:
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
