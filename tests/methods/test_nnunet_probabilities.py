"""Probabilities that nnU-Net saved of each fold are samples, in the study's classes."""

import json
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

from cardiouq.data.readers.scans import load_prediction
from cardiouq.errors import CardiouqError
from cardiouq.methods import build_method
from cardiouq.methods.nnunet_probabilities import Method
from cardiouq.prediction.predict import predict
from tests.nnunet.trained import dataset

STRUCTURES = ("RV", "MYO", "LV")
THEIRS = ("LVC", "RV", "atrium", "MLV")
LABELS = {"MYO": "MLV", "LV": "LVC"}
SHAPE = (3, 26, 22)
Write = Callable[..., Method]


@pytest.fixture
def case(tmp_path: Path) -> Any:
    """A scan in nnU-Net's raw form."""
    file = tmp_path / "heart_0000.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(SHAPE[::-1]), np.diag([-1.2, -1.2, 8, 1])), file)
    grid = dict(zip(("slices", "rows", "columns"), SHAPE, strict=True))
    return SimpleNamespace(case="heart_ED", image=str(file), frame=-1, **grid)


@pytest.fixture
def saved() -> NDArray[np.float32]:
    """Probabilities of two folds, (folds, labels, slices, rows, columns)."""
    draws = np.random.default_rng(0).dirichlet([0.3] * 5, (2, *SHAPE)).astype(np.float32)
    draws[0, 0, 0, 0] = [1, 0, 0, 0, 0]
    return np.moveaxis(draws, -1, 1)


@pytest.fixture
def write(tmp_path: Path, saved: NDArray[np.float32]) -> Write:
    """The method of a folder with both folds; `changed` makes other arrays of the last one."""

    def written(name: str = "heart", changed: Callable[[Any], Any] = lambda values: values) -> Any:
        for fold, values in enumerate(saved):
            folder = tmp_path / "model" / f"fold_{fold}"
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(dataset(THEIRS))
            (folder / "dataset.json").write_text(text, encoding="utf-8")
            given = changed(values) if fold else values
            np.savez_compressed(folder / f"{name}.npz", probabilities=given)
        block = {"method": "nnunet_probabilities", "model": str(tmp_path / "model")}
        return build_method({**block, "labels": LABELS})

    return written


def test_probabilities_are_the_mean_of_the_folds_in_the_study_s_classes(
    write: Write, case: Any, saved: NDArray[np.float32], tmp_path: Path
) -> None:
    method = write()
    method.check(STRUCTURES)
    assert method.case_problems([case]) == []
    predict(method.sampler(torch.device("cpu")), {"one": [case]}, 1, tmp_path / "out")
    background, cavity, right, atrium, wall = np.moveaxis(saved, 1, 0)
    of_folds = np.stack([background + atrium, right, wall, cavity], axis=1)
    found = np.load(tmp_path / "out/one/heart_ED_probabilities.npy")
    np.testing.assert_allclose(found, of_folds.mean(0), atol=5e-4)
    samples = load_prediction(tmp_path / "out/one/heart_ED_samples.nii.gz")
    np.testing.assert_array_equal(samples, of_folds.argmax(1))
    assert load_prediction(tmp_path / "out/one/heart_ED_mutual_information.nii.gz").max() > 0.1
    assert pd.read_csv(tmp_path / "out/samples.csv")["member"].tolist() == ["fold_0", "fold_1"]


def test_every_case_that_a_fold_lacks_is_named(write: Write, case: Any, tmp_path: Path) -> None:
    method = write()
    frame = SimpleNamespace(case="other_ES", image="cine.nii.gz", frame=4)
    first, second = method.case_problems([case, frame])
    assert first.startswith(f"{tmp_path}/model/fold_0/other_ES.npz: missing; predict this scan")
    assert second.startswith(f"{tmp_path}/model/fold_1/other_ES.npz: missing")


def test_scans_of_one_name_have_files_called_as_their_cases(
    write: Write, case: Any, saved: NDArray[np.float32], tmp_path: Path
) -> None:
    """Else one subject's probabilities would be scored for both."""
    grid = {key: value for key, value in vars(case).items() if key not in ("case", "image")}
    cases: list[Any] = [
        SimpleNamespace(case=f"{subject}_ED", image=str(tmp_path / subject / "ED.nii.gz"), **grid)
        for subject in ("s1", "s2")
    ]
    for each in cases:
        Path(each.image).parent.mkdir()
        Path(each.image).write_bytes(Path(case.image).read_bytes())
    method = write("ED")
    for problem, fold in zip(method.case_problems(cases), (0, 1), strict=True):
        assert problem.startswith(f"{tmp_path}/model/fold_{fold}/ED.npz: stands for 2 scans")
        assert "s1_ED and s2_ED among them" in problem and problem.endswith("its case: s1_ED.npz")
    assert method.case_problems(cases[:1] * 2) == []
    write("s1_ED")
    write("s2_ED", lambda values: values[:, ::-1])
    assert method.case_problems(cases) == []
    predict(method.sampler(torch.device("cpu")), {"one": cases}, 1, tmp_path / "out")
    one, other = (
        load_prediction(tmp_path / f"out/one/{each.case}_samples.nii.gz") for each in cases
    )
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1][::-1])
    assert (one[1] != other[1]).any()


def test_folds_without_the_same_files_are_refused(write: Write, tmp_path: Path) -> None:
    method = write()
    (tmp_path / "model/fold_0/heart.npz").unlink()
    (tmp_path / "model/fold_1/dataset.json").unlink()
    with pytest.raises(
        CardiouqError, match=r"fold_0/heart\.npz, .*fold_1/dataset\.json: missing; expected"
    ):
        method.check(STRUCTURES)


def test_folds_of_different_models_are_refused(write: Write, tmp_path: Path) -> None:
    method = write()
    text = json.dumps(dataset(THEIRS[::-1]))
    (tmp_path / "model/fold_1/dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(CardiouqError, match="expected the folds of one model"):
        method.check(STRUCTURES)


def test_folder_without_folds_and_labels_of_other_names_are_refused(
    write: Write, tmp_path: Path
) -> None:
    with pytest.raises(CardiouqError, match="has no fold_0, fold_1, "):
        Method(model=str(tmp_path)).check(STRUCTURES)
    with pytest.raises(CardiouqError, match="no label is called 'MYO'"):
        Method(model=write().model).check(STRUCTURES)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda values: values[:, :2], r"of shape \(5, 2, 26, 22\); expected .* \(5, 3, 26, 22\)"),
        (lambda values: values * 2, "its numbers are no probabilities"),
        (lambda values: values - 0.1, "its numbers are no probabilities"),
        (lambda values: values * np.nan, "its numbers are no probabilities"),
        (lambda values: np.array([{}]), "cannot be read as what nnU-Net saves"),
    ],
    ids=["another grid", "twice", "negative", "NaN", "a pickle"],
)
def test_what_is_no_probabilities_of_the_case_is_refused(
    write: Write, case: Any, tmp_path: Path, changed: Callable[[Any], Any], said: str
) -> None:
    sampler = write(changed=changed).sampler(torch.device("cpu"))
    with pytest.raises(CardiouqError, match=rf"fold_1/heart\.npz: .*{said}"):
        predict(sampler, {"one": [case]}, 1, tmp_path / "out")


def test_fingerprint_changes_with_what_is_saved(write: Write) -> None:
    one, again = write().fingerprint(), write().fingerprint()
    assert one == again != write(changed=lambda values: values[::-1]).fingerprint()


def test_truncated_file_is_refused(write: Write, tmp_path: Path) -> None:
    method = write()
    file = tmp_path / "model/fold_1/heart.npz"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CardiouqError, match="cannot be read as NPZ"):
        method.check(STRUCTURES)
