"""Of nnU-Net's plans what can be predicted with is read, and nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cardiouq.data.plan import Plan
from cardiouq.errors import CardiouqError
from cardiouq.nnunet.plans import read_plan, read_structures
from tests.nnunet.trained import FEATURES, KERNELS, PATCH, STRUCTURES, Change, write

PLAN = Plan(
    spacing=(1.5, 1.5),
    patch_size=PATCH,
    batch_size=4,
    n_stages=3,
    features_per_stage=FEATURES,
    kernel_sizes=KERNELS,
    strides=((1, 1), (2, 2), (2, 2)),
)


def test_plan_and_structures_are_read(tmp_path: Path) -> None:
    folder = write(tmp_path, folds=())
    assert read_plan(folder, "2d") == PLAN
    assert read_structures(folder) == STRUCTURES


def test_a_configuration_inherits_what_it_does_not_set(tmp_path: Path) -> None:
    def inherit(plans: Any) -> None:
        plans["configurations"]["mine"] = {"inherits_from": "middle", "batch_size": 2}
        plans["configurations"]["middle"] = {"inherits_from": "2d", "spacing": [2.0, 1.0]}

    plan = read_plan(write(tmp_path, folds=(), of_plans=inherit), "mine")
    assert (plan.batch_size, plan.spacing, plan.patch_size) == (2, (2.0, 1.0), PATCH)


def test_plans_of_before_2024_are_read(tmp_path: Path) -> None:
    """They say the network in other words."""

    def age(plans: Any) -> None:
        configuration = plans["configurations"]["2d"]
        network = configuration.pop("architecture")["arch_kwargs"]
        configuration |= {
            "UNet_class_name": "PlainConvUNet",
            "UNet_base_num_features": 4,
            "unet_max_num_features": 10,
            "n_conv_per_stage_encoder": network["n_conv_per_stage"],
            "n_conv_per_stage_decoder": network["n_conv_per_stage_decoder"],
            "num_pool_per_axis": [2, 2],
            "pool_op_kernel_sizes": network["strides"],
            "conv_kernel_sizes": network["kernel_sizes"],
        }

    plan = read_plan(write(tmp_path, folds=(), of_plans=age), "2d")
    assert plan.features_per_stage == (4, 8, 10)
    assert (plan.kernel_sizes, plan.strides) == (PLAN.kernel_sizes, PLAN.strides)


def test_labels_are_in_the_order_of_their_values_and_ignore_is_none(tmp_path: Path) -> None:
    def relabel(dataset: Any) -> None:
        dataset["labels"] = {"b": 2, "background": 0, "c": 3, "ignore": 4, "a": 1}

    assert read_structures(write(tmp_path, folds=(), of_dataset=relabel)) == ("a", "b", "c")


def configured(changes: Mapping[str, Any]) -> Change:
    return lambda plans: plans["configurations"]["2d"].update(changes)


def built(changes: Mapping[str, Any]) -> Change:
    return lambda plans: plans["configurations"]["2d"]["architecture"]["arch_kwargs"].update(
        changes
    )


def of_class(name: str) -> Change:
    return lambda plans: plans["configurations"]["2d"]["architecture"].update(
        network_class_name=f"dynamic_network_architectures.architectures.unet.{name}"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (configured({"patch_size": [20, 16, 16]}), "3 dimensions, expected 2"),
        (of_class("ResidualEncoderUNet"), "a ResidualEncoderUNet; expected a PlainConvUNet"),
        (configured({"normalization_schemes": ["CTNormalization"]}), "['CTNormalization']"),
        (configured({"normalization_schemes": ["ZScoreNormalization"] * 2}), "normalization_sch"),
        (configured({"use_mask_for_norm": [True]}), "use_mask_for_norm: [True]"),
        (configured({"preprocessor_name": "Mine"}), "preprocessor_name: 'Mine'"),
        (configured({"resampling_fn_data": "resample_torch"}), "resampling_fn_data: 'resample_t"),
        (configured({"resampling_fn_probabilities_kwargs": {}}), "order: missing"),
        (
            configured({"resampling_fn_data_kwargs": {"order": 3, "force_separate_z": True}}),
            "force_separate_z: True",
        ),
        (
            configured({"resampling_fn_data_kwargs": {"order": 3, "mode": "edge"}}),
            "mode: unknown key",
        ),
        (built({"strides": [[1, 1], [2, 2], [4, 4]]}), "strides.2.0: 4 is not one of [1, 2]"),
        (configured({"spacing": ["1.5", "1.5"]}), "'1.5' is not of type number"),
        (built({"norm_op": "torch.nn.BatchNorm2d"}), "norm_op: 'torch.nn.BatchNorm2d'"),
        (built({"nonlin": "torch.nn.ReLU"}), "nonlin: 'torch.nn.ReLU'"),
        (built({"nonlin_first": True}), "nonlin_first: unknown key"),
        (built({"n_conv_per_stage": [1, 3, 4]}), "n_conv_per_stage.0: 1 is not one of [2]"),
        (built({"n_stages": 4}), "[3, 3, 3] features, kernel sizes and strides"),
        (lambda plans: plans.update(transpose_forward=[2, 0, 1]), "transpose_forward: [2, 0, 1]"),
        (lambda plans: plans.update(image_reader_writer="NaturalImage2DIO"), "NaturalImage2DIO"),
        (lambda plans: plans["configurations"].pop("2d"), "configuration '2d' is missing"),
        (configured({"inherits_from": "2d"}), "configuration '2d' inherits from itself"),
    ],
)
def test_plans_of_another_model_are_refused(tmp_path: Path, change: Change, said: str) -> None:
    folder = write(tmp_path, folds=(), of_plans=change)
    with pytest.raises(CardiouqError) as error:
        read_plan(folder, "2d")
    assert str(error.value).startswith(f"{folder / 'plans.json'}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channel_names": {"0": "T1", "1": "T2"}}, "channels {'0': 'T1', '1': 'T2'}; expected on"),
        ({"labels": {"background": 0, "heart": [1, 2], "wall": 2}}, "are regions"),
        ({"regions_class_order": [1, 2]}, "are regions"),
        ({"labels": {"background": 0, "wall": 2}}, "expected 'background' 0"),
        ({"labels": {"nothing": 0, "wall": 1}}, "expected 'background' 0"),
        ({"labels": {}}, "expected 'background' 0"),
        ({"labels": {"background": "0"}}, "'0' is not of type"),
    ],
)
def test_data_sets_of_another_model_are_refused(
    tmp_path: Path, changes: Mapping[str, Any], said: str
) -> None:
    folder = write(tmp_path, folds=(), of_dataset=lambda dataset: dataset.update(changes))
    with pytest.raises(CardiouqError) as error:
        read_structures(folder)
    assert str(error.value).startswith(f"{folder / 'dataset.json'}: ")
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_files_that_are_missing_or_broken_are_named(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, folds=())

    def read() -> None:
        read_structures(folder)
        read_plan(folder, "2d")

    read()
    text = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(CardiouqError, match=f"{name}: cannot be read as JSON"):
        read()
    (folder / name).unlink()
    with pytest.raises(CardiouqError, match=f"{name}: missing; expected the folder that nnU-Net"):
        read()
