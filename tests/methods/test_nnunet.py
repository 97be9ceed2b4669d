"""A model that nnU-Net trained is a method: its folds are the samples, in the study's classes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from cardiouq.data.readers.identity import hash_of
from cardiouq.data.readers.scans import load_prediction
from cardiouq.errors import CardiouqError
from cardiouq.methods import build_method
from cardiouq.methods.base import PretrainedMethod
from cardiouq.methods.nnunet import Method
from cardiouq.nnunet.model import read_trained
from cardiouq.nnunet.predictor import predict_scan
from cardiouq.prediction.predict import predict
from tests.nnunet.trained import write

CPU = torch.device("cpu")
THEIRS = ("LVC", "RV", "atrium", "MLV")
"""The model's structures, in another order and of other names than the study's RV, MYO and LV."""
LABELS = {"MYO": "MLV", "LV": "LVC"}
SPACING = (8.0, 1.2, 1.2)
Predict = Callable[..., Path]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("model") / "a__b__2d", structures=THEIRS)


@pytest.fixture
def case(tmp_path: Path) -> Any:
    """A scan of 3 slices with a border of zeros, which nnU-Net crops."""
    scan = np.random.default_rng(0).normal(100, 30, (3, 26, 22)).astype(np.float32)
    scan[:, :4] = 0
    file = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(scan.T, np.diag([-1.2, -1.2, 8, 1])), file)
    grid = {"slices": 3, "rows": 26, "columns": 22}
    edges = dict(zip(("spacing_z", "spacing_y", "spacing_x"), SPACING, strict=True))
    of_file = {"image": str(file), "frame": -1, "image_hash": hash_of(scan)}
    return SimpleNamespace(case="a", **of_file, **grid, **edges)


@pytest.fixture
def predicted(model: Path, case: Any, tmp_path: Path) -> Predict:
    """Folder of what a method with these settings predicts of the scan."""

    def run(**settings: Any) -> Path:
        block = {"method": "nnunet", "model": str(model), "labels": LABELS} | settings
        method = build_method(block)
        assert isinstance(method, PretrainedMethod)
        output = tmp_path / "out"
        predict(method.sampler(CPU), {"one": [case]}, 1, output)
        return output

    return run


def expected(model: Path, case: Any, folds: tuple[str, ...], **settings: Any) -> Any:
    """Probabilities of the study's classes by `predict_scan`: what is none is background."""
    read = read_trained(model, folds)
    networks = [read.network(member, CPU) for member in read.members]
    scan = np.asarray(nib.load(case.image).dataobj).T
    background, cavity, right, atrium, wall = predict_scan(
        read, networks, scan, SPACING, CPU, **settings
    ).numpy()
    return np.stack([background + atrium, right, wall, cavity])


def probabilities(folder: Path) -> NDArray[np.float16]:
    found: NDArray[np.float16] = np.load(folder / "one" / "a_probabilities.npy")
    return found


def test_probabilities_are_the_mean_of_the_folds_in_the_study_s_classes(
    predicted: Predict, model: Path, case: Any
) -> None:
    folder = predicted()
    mean = expected(model, case, ("0", "1"))
    assert mean.std(axis=(1, 2, 3)).min() > 0.01
    np.testing.assert_allclose(probabilities(folder), mean, atol=5e-4)
    of_folds = [expected(model, case, (fold,)) for fold in ("0", "1")]
    samples = load_prediction(folder / "one" / "a_samples.nii.gz")
    np.testing.assert_array_equal(samples, [each.argmax(0) for each in of_folds])
    assert (samples[0] != samples[1]).any()
    assert load_prediction(folder / "one" / "a_mutual_information.nii.gz").max() > 0.01


def test_samples_say_fold_checkpoint_and_the_last_epoch(predicted: Predict) -> None:
    folder = predicted()
    table = pd.read_csv(folder / "samples.csv")
    assert table["member"].tolist() == ["fold-0-final", "fold-1-final"]
    assert table["epoch"].tolist() == [19, 19]  # from 0
    machines = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
    assert {machine["precision"] for machine in machines} == {"float32"}


def test_mean_of_logits_is_one_sample_as_nnunet_predicts(
    predicted: Predict, model: Path, case: Any
) -> None:
    folder = predicted(mean_of="logits")
    of_logits = expected(model, case, ("0", "1"), mean_of="logits")
    assert np.abs(of_logits - expected(model, case, ("0", "1"))).max() > 0.01
    np.testing.assert_allclose(probabilities(folder), of_logits, atol=5e-4)
    assert len(pd.read_csv(folder / "samples.csv")) == 1
    assert not (folder / "one" / "a_samples.nii.gz").exists()


def test_one_fold_without_mirror_images_is_another_distribution(
    predicted: Predict, model: Path, case: Any
) -> None:
    of_fold = expected(model, case, ("1",), mirrored=False)
    assert np.abs(of_fold - expected(model, case, ("1",))).max() > 0.01
    np.testing.assert_allclose(
        probabilities(predicted(folds=[1], mirroring=False)), of_fold, atol=5e-4
    )


def test_probabilities_of_two_labels_that_are_one_structure_add_up(
    predicted: Predict, model: Path, case: Any
) -> None:
    alone = expected(model, case, ("0",))
    found = probabilities(predicted(folds=[0], labels={**LABELS, "LV": ["LVC", "MLV"], "MYO": 3}))
    np.testing.assert_allclose(found[3], alone[3] + alone[2], atol=1e-3)
    np.testing.assert_allclose(found.astype(np.float32).sum(0), 1, atol=2e-3)


@pytest.mark.parametrize("axes", [None, (), (0,), (1,)])
def test_mirror_images_are_those_that_the_checkpoint_allows(
    predicted: Predict, case: Any, tmp_path: Path, axes: Any
) -> None:
    folder = write(
        tmp_path / "a__b__2d",
        folds=[0],
        structures=THEIRS,
        of_last=lambda c: c.update(inference_allowed_mirroring_axes=axes),
    )
    all_axes = write(tmp_path / "all" / "a__b__2d", folds=[0], structures=THEIRS)
    found = probabilities(predicted(model=str(folder)))
    allowed = expected(folder, case, ("0",))
    np.testing.assert_allclose(found, allowed, atol=5e-4)
    assert np.abs(allowed - expected(all_axes, case, ("0",))).max() > 0.01
    unmirrored = expected(folder, case, ("0",), mirrored=False)
    assert (np.abs(allowed - unmirrored).max() > 0.01) == bool(axes)
    np.testing.assert_allclose(
        probabilities(predicted(model=str(folder), mirroring=False)), unmirrored, atol=5e-4
    )


def test_weights_in_memory_predict_the_same_without_their_files(
    model: Path, case: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "a__b__2d"
    shutil.copytree(model, folder)
    method = build_method({"method": "nnunet", "model": str(folder), "labels": LABELS})
    assert isinstance(method, Method)
    samplers = [method.sampler(CPU, in_memory=kept) for kept in (False, True)]
    for kept, sampler in zip(("from files", "kept"), samplers, strict=True):
        predict(sampler, {"one": [case]}, 1, tmp_path / kept)
    np.testing.assert_array_equal(
        probabilities(tmp_path / "from files"), probabilities(tmp_path / "kept")
    )
    for file in folder.glob("fold_*/*"):
        file.unlink()
    predict(samplers[1], {"one": [case]}, 1, tmp_path / "again")
    np.testing.assert_array_equal(
        probabilities(tmp_path / "again"), probabilities(tmp_path / "kept")
    )
    with pytest.raises(CardiouqError, match="missing"):
        predict(samplers[0], {"one": [case]}, 1, tmp_path / "lost")
