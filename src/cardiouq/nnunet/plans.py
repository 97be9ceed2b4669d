"""nnU-Net's `plans.json` and `dataset.json`: what a model was planned to be, and what it segments.

Read is what nnU-Net v2 makes of its 2D configuration by default. Anything that would have to be
computed in another way is refused, as a prediction that is a little wrong looks like a right one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cardiouq.data.plan import COUNT, LENGTH, PAIR, STAGES, Plan
from cardiouq.errors import CardiouqError
from cardiouq.files.documents import schema_problems

PLANS_FILE, DATASET_FILE = "plans.json", "dataset.json"
UNLIKE = (
    "only nnU-Net's own 2D U-Net with its own preprocessing is read (docs/nnunet.md); predict with "
    "nnU-Net itself, or train that configuration"
)
"""End of what is said of a model that is none to be read."""
PLAIN_UNET = "PlainConvUNet"
BACKGROUND, IGNORE = "background", "ignore"
"""nnU-Net's names of labels that are no structures."""


def _only(*values: Any) -> dict[str, Any]:
    return {"enum": list(values)}


PLANS_SCHEMA = {
    "type": "object",
    "properties": {
        "configurations": {"type": "object", "additionalProperties": {"type": "object"}},
        # others turn or mirror the scan that the network sees
        "image_reader_writer": _only("SimpleITKIO", "NibabelIO"),
        "transpose_forward": _only([0, 1, 2]),
        "label_manager": _only("LabelManager"),
    },
    "required": ["configurations", "image_reader_writer", "transpose_forward"],
}
RESAMPLING = _only("resample_data_or_seg_to_shape")


def _interpolated(order: int) -> dict[str, Any]:
    """JSON schema of the keywords of nnU-Net's resampling; slices stay where they are, so that
    `order_z` does not matter."""
    properties = {"is_seg": {}, "order": _only(order), "order_z": {}}
    return {
        "properties": properties | {"force_separate_z": _only(None)},
        "required": ["order"],
        "additionalProperties": False,
    }


CONFIGURATION_SCHEMA = {
    "type": "object",
    "properties": {
        "patch_size": PAIR,
        "spacing": PAIR | {"items": LENGTH},
        "batch_size": COUNT,
        "preprocessor_name": _only("DefaultPreprocessor"),
        "normalization_schemes": _only(["ZScoreNormalization"]),
        "use_mask_for_norm": _only([False]),
        "resampling_fn_data": RESAMPLING,
        "resampling_fn_data_kwargs": _interpolated(3),
        "resampling_fn_probabilities": RESAMPLING,
        "resampling_fn_probabilities_kwargs": _interpolated(1),
    },
}
CONFIGURATION_SCHEMA["required"] = list(CONFIGURATION_SCHEMA["properties"])
INSTANCE_NORM, NORM = "torch.nn.modules.instancenorm.InstanceNorm2d", {"eps": 1e-5, "affine": True}
LEAKY_RELU = "torch.nn.LeakyReLU"
TWO_A_STAGE = {"type": "array", "items": _only(2)}
NETWORK_SCHEMA = {
    "type": "object",
    "properties": {
        "n_stages": COUNT,
        "features_per_stage": STAGES | {"items": COUNT},
        "conv_op": _only("torch.nn.modules.conv.Conv2d"),
        "kernel_sizes": STAGES | {"items": PAIR | {"items": _only(1, 3, 5, 7)}},
        # of larger strides MONAI pads less than nnU-Net does
        "strides": STAGES
        | {"items": PAIR | {"items": _only(1, 2)}, "prefixItems": [_only([1, 1])]},
        "n_conv_per_stage": TWO_A_STAGE,
        "n_conv_per_stage_decoder": TWO_A_STAGE,
        "conv_bias": {"type": "boolean"},
        "norm_op": _only(INSTANCE_NORM),
        "norm_op_kwargs": _only(NORM),
        "dropout_op": _only(None),
        "dropout_op_kwargs": {},
        "nonlin": _only(LEAKY_RELU),
        "nonlin_kwargs": _only({"inplace": True}),
    },
    "required": [
        "n_stages",
        "features_per_stage",
        "kernel_sizes",
        "strides",
        "n_conv_per_stage",
        "n_conv_per_stage_decoder",
        "norm_op",
        "norm_op_kwargs",
        "nonlin",
    ],
    "additionalProperties": False,
}
"""JSON schema of a network's `arch_kwargs`."""
OLD_NETWORK_SCHEMA = {
    "type": "object",
    "properties": {
        "UNet_class_name": {"type": "string"},
        "UNet_base_num_features": COUNT,
        "unet_max_num_features": COUNT,
        "n_conv_per_stage_encoder": STAGES,
    },
    "required": [
        "UNet_class_name",
        "UNet_base_num_features",
        "unet_max_num_features",
        "n_conv_per_stage_encoder",
        "n_conv_per_stage_decoder",
        "conv_kernel_sizes",
        "pool_op_kernel_sizes",
    ],
}
"""JSON schema of what stands in a configuration for the network in plans of before 2024."""
DATASET_SCHEMA = {
    "type": "object",
    "properties": {
        "labels": {"type": "object", "additionalProperties": {"type": ["integer", "array"]}},
        "channel_names": {"type": "object"},
        "modality": {"type": "object"},
    },
    "required": ["labels"],
    "anyOf": [{"required": ["channel_names"]}, {"required": ["modality"]}],
}


def read_plan(folder: Path, configuration: str) -> Plan:
    """The plan of a configuration in a model's `plans.json`.

    Raises:
        CardiouqError: the file is missing or broken, has no such configuration, or it is one that
            cannot be predicted with.
    """
    file = folder / PLANS_FILE
    plans = _read(file)
    _check(plans, PLANS_SCHEMA, f"{file}: ")
    settings = _inherited(file, plans["configurations"], configuration)
    where = f"{file}: configuration {configuration!r}: "
    patch = settings.get("patch_size")
    if isinstance(patch, list) and len(patch) == 3:
        raise CardiouqError(f"{where}its patches {patch} have 3 dimensions, expected 2; {UNLIKE}")
    _check(settings, CONFIGURATION_SCHEMA, where)
    network = _network(settings, where)
    stages = [network[key] for key in ("features_per_stage", "kernel_sizes", "strides")]
    if any(len(stage) != network["n_stages"] for stage in stages):
        raise CardiouqError(
            f"{where}{[len(stage) for stage in stages]} features, kernel sizes and strides; "
            f"expected one of the {network['n_stages']} stages each; fetch the file again"
        )
    features, kernels, strides = stages
    return Plan(
        spacing=tuple(settings["spacing"]),
        patch_size=tuple(settings["patch_size"]),
        batch_size=settings["batch_size"],
        n_stages=network["n_stages"],
        features_per_stage=tuple(features),
        kernel_sizes=tuple(map(tuple, kernels)),
        strides=tuple(map(tuple, strides)),
    )


def read_structures(folder: Path) -> tuple[str, ...]:
    """Names of a model's structures in the order of their labels, from its `dataset.json`.

    Raises:
        CardiouqError: the file is missing or broken, or speaks of regions or several channels.
    """
    file = folder / DATASET_FILE
    dataset = _read(file)
    _check(dataset, DATASET_SCHEMA, f"{file}: ")
    channels = dataset.get("channel_names", dataset.get("modality"))
    if len(channels) != 1:
        raise CardiouqError(f"{file}: channels {channels}; expected one; {UNLIKE}")
    labels = {name: value for name, value in dataset["labels"].items() if name != IGNORE}
    if "regions_class_order" in dataset or any(isinstance(v, list) for v in labels.values()):
        raise CardiouqError(
            f"{file}: labels {labels} are regions, which overlap; expected a number for each "
            f"structure and no `regions_class_order`; {UNLIKE}"
        )
    background, *structures = sorted(labels, key=labels.__getitem__) or [""]
    if background != BACKGROUND or sorted(labels.values()) != list(range(len(labels))):
        raise CardiouqError(
            f"{file}: labels {labels}; expected {BACKGROUND!r} 0 and structures 1, 2, ... as "
            "nnU-Net asks for; fetch the file again"
        )
    return tuple(structures)


def _read(file: Path) -> Any:
    """What a file of JSON holds; a CardiouqError if there is none, or it is broken."""
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError:
        raise CardiouqError(
            f"{file}: missing; expected the folder that nnU-Net trained into, "
            f"TRAINER__PLANS__CONFIGURATION, with {PLANS_FILE}, {DATASET_FILE} and fold_0, ..."
        ) from None
    except (ValueError, RecursionError) as error:
        raise CardiouqError(
            f"{file}: cannot be read as JSON ({error}); fetch the file again"
        ) from None


def _check(found: Any, schema: Mapping[str, Any], where: str) -> None:
    """Raise a CardiouqError with all in which a part of a file does not keep its schema."""
    if problems := list(schema_problems(found, schema)):
        raise CardiouqError(f"{where}{'; '.join(problems)}; {UNLIKE}")


def _inherited(file: Path, configurations: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it inherits from others."""
    settings: dict[str, Any] = {}
    visited = []
    parent: Any = name
    while parent is not None:
        if parent in visited or parent not in configurations:
            wrong = "inherits from itself" if parent in visited else "is missing"
            raise CardiouqError(
                f"{file}: configuration {parent!r} {wrong}; expected one of "
                f"{list(configurations)}; fetch the file that lay beside the checkpoints"
            )
        visited.append(parent)
        settings = configurations[parent] | settings
        parent = configurations[parent].get("inherits_from")
    return settings


def _network(settings: Mapping[str, Any], where: str) -> Any:
    """The `arch_kwargs` of a configuration's network, which are checked."""
    network = settings.get("architecture") or _old_network(settings, where)
    name = str(network.get("network_class_name")).rpartition(".")[2]
    if name != PLAIN_UNET:
        raise CardiouqError(f"{where}the network is a {name}; expected a {PLAIN_UNET}; {UNLIKE}")
    kwargs = network.get("arch_kwargs")
    _check(kwargs, NETWORK_SCHEMA, f"{where}architecture.arch_kwargs: ")
    return kwargs


def _old_network(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The network of plans of before 2024, in today's words."""
    _check(settings, OLD_NETWORK_SCHEMA, where)
    base, most = settings["UNet_base_num_features"], settings["unet_max_num_features"]
    stages = len(settings["n_conv_per_stage_encoder"])
    kwargs = {
        "n_stages": stages,
        "features_per_stage": [min(base * 2**stage, most) for stage in range(stages)],
        "kernel_sizes": settings["conv_kernel_sizes"],
        "strides": settings["pool_op_kernel_sizes"],
        "n_conv_per_stage": settings["n_conv_per_stage_encoder"],
        "n_conv_per_stage_decoder": settings["n_conv_per_stage_decoder"],
        "norm_op": INSTANCE_NORM,
        "norm_op_kwargs": NORM,
        "nonlin": LEAKY_RELU,
    }
    return {"network_class_name": settings["UNet_class_name"], "arch_kwargs": kwargs}
