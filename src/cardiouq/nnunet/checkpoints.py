"""Checkpoints of nnU-Net's trainer: what they say of a model, and its weights for our U-Net."""

import pickle
import re
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from cardiouq.errors import CardiouqError
from cardiouq.nnunet.folder import FETCH_AGAIN
from cardiouq.nnunet.plans import UNLIKE
from cardiouq.recipes.network import UNet

WRITTEN_TWICE = re.compile(r"^decoder\.encoder\.|\.all_modules\.[01]\.")
"""In names of tensors that a checkpoint also holds under a plainer name."""
OF_NO_ACCOUNT = re.compile(r"decoder\.seg_layers\.\d+\.\w+|.*\.convs\.\d+\.conv\.bias")
"""Names of what a prediction does without: the lower heads of deep supervision, and biases that
instance norm takes away again."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file of nnU-Net's trainer says.

    Attributes:
        file: where it stands.
        trainer: name of the trainer's class.
        configuration: which of the plans' it is.
        epoch: epochs that it was trained for.
        mirroring: axes of a slice, 0 rows and 1 columns, that may be mirrored when predicting.
        weights: nnU-Net's name of each tensor -> the tensor, which stays on disk until it is used.
    """

    file: Path
    trainer: str
    configuration: str
    epoch: int
    mirroring: tuple[int, ...]
    weights: Mapping[str, Tensor]

    @classmethod
    def read(cls, file: Path) -> "Checkpoint":
        """Read a checkpoint without running any code that it may hold.

        Raises:
            CardiouqError: it is missing, damaged, asks for more than numbers, or is none of
                nnU-Net's.
        """
        found = _load(file)
        try:
            arguments = found["init_args"]
            mirroring = found.get("inference_allowed_mirroring_axes") or ()
            checkpoint = cls(
                file=file,
                trainer=str(found["trainer_name"]),
                configuration=str(arguments["configuration"]),
                epoch=int(found["current_epoch"]),
                mirroring=tuple(int(axis) for axis in mirroring),
                weights={str(name): value for name, value in found["network_weights"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CardiouqError(
                f"{file}: is no checkpoint of nnU-Net v2's trainer, as {error!r} says; expected "
                f"`network_weights`, `init_args`, `trainer_name` and `current_epoch`; {UNLIKE}"
            ) from None
        if not set(checkpoint.mirroring) <= {0, 1}:
            raise CardiouqError(
                f"{file}: mirrors axes {checkpoint.mirroring}; expected those of a slice, 0 and 1; "
                f"{UNLIKE}"
            )
        return checkpoint

    def load_into(self, network: UNet) -> None:
        """Copy the weights into a network, whose lower heads of deep supervision stay as they are.

        Raises:
            CardiouqError: they are another network's, or not finite.
        """
        parameters = dict(_parameters(network))
        plain = {name: w for name, w in self.weights.items() if not WRITTEN_TWICE.search(name)}
        differing = parameters.keys() ^ plain.keys()
        wrong = sorted(name for name in differing if not OF_NO_ACCOUNT.fullmatch(name))
        for name in parameters.keys() & plain.keys():
            if plain[name].shape != parameters[name].shape:
                wrong.append(
                    f"{name} {tuple(plain[name].shape)} for {tuple(parameters[name].shape)}"
                )
        if wrong:
            raise CardiouqError(
                f"{self.file}: the weights of {self.trainer} are not those of the network in the "
                f"plans: they differ in {', '.join(wrong[:3])}{' and others' * (len(wrong) > 3)}; "
                f"{UNLIKE}"
            )
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(plain[name])
                if not parameter.isfinite().all():
                    raise CardiouqError(
                        f"{self.file}: {name} holds numbers that are not finite; the training has "
                        "failed: take another checkpoint"
                    )


def _load(file: Path) -> Any:
    """What `torch.save` wrote, read by PyTorch's unpickler of data, which runs no code."""
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()  # of a file that was altered the checksums differ
        if damaged:
            raise CardiouqError(f"{file}: is damaged ({damaged}); {FETCH_AGAIN}")
        with _numbers_allowed():
            if unsafe := get_unsafe_globals_in_checkpoint(file):
                raise CardiouqError(
                    f"{file}: asks for {', '.join(sorted(unsafe))} when it is read, which may run "
                    "any code; expected tensors and numbers alone, as nnU-Net's trainer saves them"
                )
            return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise CardiouqError(
            f"{file}: missing; name a fold and a checkpoint that are there"
        ) from None
    except (zipfile.BadZipFile, pickle.UnpicklingError, ValueError, RuntimeError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise CardiouqError(
            f"{file}: cannot be read as what PyTorch saves ({said}); {FETCH_AGAIN}"
        ) from None


def _numbers_allowed() -> AbstractContextManager[None]:
    """Context in which a checkpoint may hold numbers of NumPy, as nnU-Net's do."""
    scalar = np.float64().__reduce__()[0]
    numbers: list[Any] = [
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),  # as NumPy 1 called it
        np.dtype,
        np.dtypes.Float32DType,
        np.dtypes.Float64DType,
    ]
    return safe_globals(numbers)


def _parameters(network: UNet) -> dict[str, nn.Parameter]:
    """nnU-Net's name -> parameter, of all that a prediction needs."""
    blocks: dict[str, Any] = {}
    layers: dict[str, nn.Module] = {}
    for stage, block in enumerate(network.encoder_stages):
        blocks[f"encoder.stages.{stage}.0"] = block
    for stage, upsample in enumerate(network.upsamples):
        blocks[f"decoder.stages.{stage}"] = upsample.conv_block
        layers[f"decoder.transpconvs.{stage}"] = upsample.transp_conv.conv
    for name, block in blocks.items():
        layers[f"{name}.convs.0.conv"] = block.conv1.conv
        layers[f"{name}.convs.0.norm"] = block.norm1
        layers[f"{name}.convs.1.conv"] = block.conv2.conv
        layers[f"{name}.convs.1.norm"] = block.norm2
    layers[f"decoder.seg_layers.{len(network.upsamples) - 1}"] = network.output_block.conv.conv
    return {
        f"{name}.{kind}": parameter
        for name, layer in layers.items()
        for kind, parameter in layer.named_parameters()
    }
