"""Weights are stored in half precision only if that changes the label of no voxel."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cardiouq.apply.exported import weights_file
from cardiouq.apply.halved import HalvedRun, storage
from cardiouq.apply.model_folder import read_model
from cardiouq.data.plan import Plan
from cardiouq.files.run_files import checkpoint_file
from cardiouq.methods import build_method
from cardiouq.methods.base import Member
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import RunWeights
from cardiouq.prediction.sampler import RunSampler, images_in
from cardiouq.recipes.network import build_network
from cardiouq.recipes.schedule import PolynomialSchedule
from cardiouq.training.checkpoints import load_tensors, save_tensors

CPU = torch.device("cpu")
DROPOUT = {"p": 0.0, "place": "all"}
CASES: list[Any] = [SimpleNamespace(case=name, slices=4, rows=40, columns=40) for name in "abc"]
Stored = Callable[..., tuple[torch.dtype, str]]


@pytest.fixture
def stored(tmp_path: Path, plan: Plan, arrays: Path) -> Stored:
    """How the weights of a network whose last biases are these would be stored.

    The biases alone decide, and the same label is in every voxel.
    """

    def store(biases: list[float], cases: list[Any] = CASES) -> tuple[torch.dtype, str]:
        weights = dict(build_network(plan, DROPOUT).named_parameters())
        for name, value in (("weight", 0.0), ("bias", torch.tensor(biases))):
            head = weights[f"output_block.conv.conv.{name}"].detach()
            head.copy_(torch.as_tensor(value).expand_as(head))
        save_tensors(weights, tmp_path / checkpoint_file(0))

        def sampler(kind: type[RunWeights]) -> RunSampler:
            run = kind(tmp_path, {"dropout": DROPOUT}, Member(), plan, CPU)
            method = build_method({"method": "single"})
            schedule = PolynomialSchedule(epochs=1, alpha_0=0.01, epsilon=0.9)
            predictor = Predictor(plan, 0.25, CPU)
            return RunSampler(method, [run], schedule, predictor, images_in([arrays]))

        fitted = {"temperature": np.array(1.0)}
        return storage(sampler(RunWeights), sampler(HalvedRun), fitted, cases, seed=1)

    return store


def test_weights_are_halved_if_no_label_changes(stored: Stored) -> None:
    dtype, why = stored([0, 0.1, 0, 0])
    assert dtype == torch.float16
    assert why == "in half precision, which changes no label in 3 volumes"


@pytest.mark.parametrize(
    "biases",
    [
        # the last is larger in single precision and in bf16, but no longer if halved before
        pytest.param([0, 0, 1 + 2**-8, 1 + 2**-8 + 2**-12], id="rounded to one number"),
        pytest.param([0, 0, 7e4, 8e4], id="beyond the largest number"),
    ],
)
def test_weights_stay_single_if_a_label_changes(stored: Stored, biases: list[float]) -> None:
    dtype, why = stored(biases)
    assert dtype == torch.float32
    assert why == (
        "in single precision, as half precision would change labels of 6400 voxels of a volume "
        "(of its structures: 6400)"
    )


def test_weights_stay_single_if_there_is_nothing_to_try(stored: Stored) -> None:
    assert stored([0, 0, 0, 0], []) == (
        torch.float32,
        "in single precision, as there is no volume to try another one on",
    )


def test_halved_model_takes_half_the_bytes_and_computes_in_single_precision(
    make_model: Callable[..., Path],
) -> None:
    file = weights_file(Member(), 1)
    whole = load_tensors(make_model() / file)
    size = (make_model() / file).stat().st_size
    folder = make_model(dtype=torch.float16)
    assert (folder / file).stat().st_size < 0.7 * size  # names of a small network take bytes too
    model = read_model(folder)
    first = next(iter(model.sampler(CPU, lambda case: np.empty(0)).draws(model.fitted))).network
    for name, weight in dict(first.named_parameters()).items():  # type: ignore[attr-defined]
        assert weight.dtype == torch.float32
        assert torch.equal(weight, whole[name].half().float())
