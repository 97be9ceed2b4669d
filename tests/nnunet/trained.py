"""A tiny model in nnU-Net's format, whose network is written out as nnU-Net names its parts."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FEATURES, PATCH, STRUCTURES = (4, 8, 16), (16, 16), ("cavity", "wall")
"""Other structures than the study's three."""
KERNELS = ((3, 3), (1, 3), (3, 3))
"""Of the encoder's stages, and of the decoder's beside them."""
RESAMPLING = "resample_data_or_seg_to_shape"
Kernel = tuple[int, int]
Change = Callable[[Any], None]
"""What a test does to a file's content."""


class Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1) -> None:
        super().__init__()
        padding = [size // 2 for size in kernel]
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding)
        self.norm = nn.InstanceNorm2d(outputs, affine=True)
        self.all_modules = nn.Sequential(self.conv, self.norm, nn.LeakyReLU())

    def forward(self, images: Tensor) -> Tensor:
        return self.all_modules(images)


class Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            Convolution(inputs, outputs, kernel, stride), Convolution(outputs, outputs, kernel)
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.convs(images)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        first, *rest = KERNELS
        falling = zip(pairwise(FEATURES), rest, strict=True)
        stages = [Stage(1, FEATURES[0], first), *(Stage(a, b, k, 2) for (a, b), k in falling)]
        self.stages = nn.Sequential(*map(nn.Sequential, stages))


class Decoder(nn.Module):
    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        rising = list(pairwise(reversed(FEATURES)))
        self.transpconvs = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in rising)
        kernels = KERNELS[-2::-1]
        self.stages = nn.ModuleList(
            Stage(2 * b, b, k) for (_, b), k in zip(rising, kernels, strict=True)
        )
        heads = (nn.Conv2d(b, classes, 1) for _, b in rising)
        self.seg_layers = nn.ModuleList(heads)


class PlainConvUNet(nn.Module):
    """nnU-Net's network, without deep supervision."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder(self.encoder, classes)

    def forward(self, images: Tensor) -> Tensor:
        skipped = [images]
        for stage in self.encoder.stages:
            skipped.append(stage(skipped[-1]))
        features = skipped.pop()
        for up, stage in zip(self.decoder.transpconvs, self.decoder.stages, strict=True):
            features = stage(torch.cat([up(features), skipped.pop()], 1))
        logits: Tensor = self.decoder.seg_layers[-1](features)
        return logits


def network(seed: int = 0, structures: Sequence[str] = STRUCTURES) -> PlainConvUNet:
    """A network whose weights are all drawn, those of norms too."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        drawn = PlainConvUNet(len(structures) + 1)
        for parameter in drawn.parameters():
            nn.init.normal_(parameter, std=0.5)
    return drawn.eval()


def plans() -> dict[str, Any]:
    """`plans.json` of nnU-Net 2.8.1, as far as it matters, with a 3D configuration beside."""
    stages = len(FEATURES)
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(FEATURES),
            "conv_op": "torch.nn.modules.conv.Conv2d",
            "kernel_sizes": [list(kernel) for kernel in KERNELS],
            "strides": [[1, 1]] + [[2, 2]] * (stages - 1),
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    configuration = {
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 4,
        "patch_size": list(PATCH),
        "spacing": [1.5, 1.5],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": RESAMPLING,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0},
        "resampling_fn_probabilities": RESAMPLING,
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0},
        "architecture": architecture,
    }
    return {
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "label_manager": "LabelManager",
        "configurations": {"2d": configuration, "3d_fullres": {"patch_size": [20, 256, 224]}},
    }


def dataset(structures: Sequence[str]) -> dict[str, Any]:
    """nnU-Net's `dataset.json`."""
    labels = {name: value for value, name in enumerate(("background", *structures))}
    return {"channel_names": {"0": "MRI"}, "labels": labels, "file_ending": ".nii.gz"}


def checkpoint(seed: int = 0, structures: Sequence[str] = STRUCTURES) -> dict[str, Any]:
    """What nnU-Net's trainer saves, with numbers of NumPy's."""
    return {
        "network_weights": network(seed, structures).state_dict(),
        "optimizer_state": {"state": {}, "param_groups": [{"lr": np.float64(0.01)}]},
        "grad_scaler_state": None,
        "logging": {"ema_fg_dice": [np.float64(0.5)]},
        "_best_ema": np.float32(0.5),
        "current_epoch": 20,
        "init_args": {"configuration": "2d", "fold": seed, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1),
    }


def nothing(content: Any) -> None:
    """Leave a file's content as it is."""


def write(
    folder: Path,
    *,
    folds: Sequence[int | str] = (0, 1),
    structures: Sequence[str] = STRUCTURES,
    of_plans: Change = nothing,
    of_dataset: Change = nothing,
    of_last: Change = nothing,
) -> Path:
    """A model's folder, after the changes; the last fold's checkpoint is what `of_last` changes."""
    for name, content, change in (
        ("plans.json", plans(), of_plans),
        ("dataset.json", dataset(structures), of_dataset),
    ):
        change(content)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    for seed, fold in enumerate(folds):
        saved = checkpoint(seed, structures)
        if seed == len(folds) - 1:
            of_last(saved)
        (folder / f"fold_{fold}").mkdir()
        torch.save(saved, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder
