"""nnU-Net v2's own trainer and loader on the same cases, the peer of `training.py`.

nnU-Net lies in a folder of its own, named by the environment variable NNUNET, as it would bring
torchvision and other versions into the environment of ours.
"""

import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from sizes import ITERATIONS, PLANS, case_names

from cardiouq.structures import STRUCTURES

HOW_TO_GET_IT = (
    "nnU-Net is not there: pip install --no-deps --target FOLDER --requirement "
    "benchmarks/nnunet-requirements.txt, then make bench NNUNET=FOLDER"
)
DATASET, FOLDERS = "Dataset001_Benchmark", ("raw", "preprocessed", "results")


def iteration(size: str, folder: str) -> Callable[[], None]:
    """Loader, augmentation and step."""
    trainer = prepared(size, folder)
    loader, _ = trainer.get_dataloaders()

    def work() -> None:
        for _ in range(ITERATIONS[size]):
            trainer.train_step(next(loader))

    return work


def step(size: str, folder: str) -> Callable[[], None]:
    """Steps with one batch, which is ready."""
    trainer = prepared(size, folder)
    loader, _ = trainer.get_dataloaders()
    batch = next(loader)

    def work() -> None:
        for _ in range(ITERATIONS[size]):
            trainer.train_step(batch)

    return work


def augmentation(size: str, folder: str) -> Callable[[], object]:
    """Batches, without steps."""
    loader, _ = prepared(size, folder).get_dataloaders()
    return lambda: next(loader)


def prepared(size: str, folder: str) -> Any:
    """The default trainer, ready to train on the cases of `sizes.write_cases`."""
    scratch = Path(tempfile.mkdtemp(dir=Path(folder).parent))
    os.environ |= {f"nnUNet_{name}": str(scratch / name) for name in FOLDERS}
    os.environ |= {"nnUNet_n_proc_DA": "0"}  # the loader in this process, on its one core
    trainers = module_of_nnunet("training.nnUNetTrainer.nnUNetTrainer")
    write_dataset(size, Path(folder), scratch / "preprocessed" / DATASET / "slices")
    trainer = trainers.nnUNetTrainer(plans(size), "2d", 0, dataset(), device=torch.device("cpu"))
    trainer.initialize()
    trainer.network.train()
    return trainer


def module_of_nnunet(name: str) -> ModuleType:
    """A module of nnU-Net's package; an ImportError says how to get it."""
    sys.path.append(os.environ.get("NNUNET", ""))
    try:
        return importlib.import_module(f"nnunetv2.{name}")
    except ModuleNotFoundError as error:
        raise ImportError(f"{HOW_TO_GET_IT} ({error})") from error


def write_dataset(size: str, arrays: Path, folder: Path) -> None:
    """The cases as nnU-Net's preprocessing would leave them."""
    datasets = importlib.import_module("nnunetv2.training.dataloading.nnunet_dataset")
    preprocessing = importlib.import_module(
        "nnunetv2.preprocessing.preprocessors.default_preprocessor"
    )
    folder.mkdir(parents=True)
    values = list(range(1, len(STRUCTURES) + 1))
    for case in case_names():
        image, label = (np.load(arrays / f"{case}_{kind}.npy")[None] for kind in ("image", "label"))
        label = label.astype(np.int8)
        blocks, chunks = datasets.comp_blosc2_params(image.shape, PLANS[size].patch_size)
        locations = preprocessing.DefaultPreprocessor._sample_foreground_locations(label, values)
        properties = {"class_locations": locations, "spacing": (10.0, *PLANS[size].spacing)}
        datasets.nnUNetDatasetBlosc2.save_case(
            image, label, properties, str(folder / case), chunks=chunks, blocks=blocks
        )


def plans(size: str) -> dict[str, Any]:
    """The plan in nnU-Net's words."""
    plan = PLANS[size]
    stages = plan.n_stages
    resampling = {
        f"resampling_fn_{what}": "resample_data_or_seg_to_shape"
        for what in ("data", "seg", "probabilities")
    }
    resampling_settings: dict[str, Any] = {f"{name}_kwargs": {} for name in resampling}
    network = {
        "n_stages": stages,
        "features_per_stage": list(plan.features_per_stage),
        "conv_op": "torch.nn.modules.conv.Conv2d",
        "kernel_sizes": [list(kernel) for kernel in plan.kernel_sizes],
        "strides": [list(stride) for stride in plan.strides],
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    configuration = {
        "data_identifier": "slices",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": plan.batch_size,
        "patch_size": list(plan.patch_size),
        "median_image_size_in_voxels": list(plan.patch_size),
        "spacing": list(plan.spacing),
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        **resampling,
        **resampling_settings,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": network,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
    }
    return {
        "continue_training": False,
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [10.0, *plan.spacing],
        "original_median_shape_after_transp": [10, *plan.patch_size],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {},
        "configurations": {"2d": configuration},
    }


def dataset() -> dict[str, Any]:
    """nnU-Net's dataset.json."""
    labels = {name: value for value, name in enumerate(("background", *STRUCTURES))}
    return {
        "channel_names": {"0": "MRI"},
        "labels": labels,
        "numTraining": len(case_names()),
        "file_ending": ".nii.gz",
    }
