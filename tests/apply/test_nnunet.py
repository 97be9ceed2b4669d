"""A folder that nnU-Net trained into is applied: its folds, and what nnU-Net itself makes of scans.

The model is a tiny one, or the real one of `tests/nnunet/test_real_model.py`.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from cardiouq.apply.model_folder import read_model, structures_of
from cardiouq.cli import main
from cardiouq.device.environment import DEVICE_VARIABLE
from cardiouq.errors import CardiouqError
from cardiouq.nnunet import checkpoints
from tests.nnunet import test_real_model as real
from tests.nnunet.trained import checkpoint, write

Make = Callable[..., Path]
Apply = Callable[..., NDArray[Any]]
THEIRS = ("RV", "MLV", "LVC")
"""Structures as nnU-Net's conversion of ACDC calls them."""


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says which device this process is to take, and the next test may want another."""
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "nnUNetTrainer__nnUNetPlans__2d", structures=THEIRS)


@pytest.fixture
def applied(model: Path, save: Make, volume: NDArray[np.int16], tmp_path: Path) -> Apply:
    """Probability of the LV in a scan, by the model with some options of the command."""
    save("a.nii.gz", volume)

    def run(*options: str) -> NDArray[Any]:
        places = (model, tmp_path / "scans", tmp_path / "out")
        assert main(["apply", *map(str, places), "--device", "cpu", *options]) == 0
        return np.asarray(nib.load(tmp_path / "out/scans/a/probability_LV.nii.gz").dataobj)

    return run


def members(out: Path) -> Any:
    return json.loads((out / "results.json").read_text(encoding="utf-8"))["model"]["checkpoints"]


def test_folds_and_checkpoint_are_chosen_as_by_nnunet_s_own_command(
    applied: Apply, model: Path, tmp_path: Path
) -> None:
    torch.save(checkpoint(7, THEIRS), model / "fold_1" / "checkpoint_best.pth")
    both = applied()
    assert members(tmp_path / "out") == [f"fold_{k}/checkpoint_final.pth" for k in (0, 1)]
    first, second = applied("-f", "0"), applied("--folds", "1")
    np.testing.assert_allclose(both, (first + second) / 2, atol=2e-5)
    assert np.abs(first - second).max() > 0.01
    best = applied("-f", "1", "-chk", "checkpoint_best.pth")
    assert members(tmp_path / "out") == ["fold_1/checkpoint_best.pth"]
    assert np.abs(best - second).max() > 0.01
    np.testing.assert_array_equal(applied("-f", "1", "--checkpoint", "best"), best)


def test_fold_that_is_still_training_is_said_with_what_to_do(
    applied: Apply, model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    final = model / "fold_1" / "checkpoint_final.pth"
    final.rename(final.with_name("checkpoint_best.pth"))
    places = [str(model), str(tmp_path / "scans"), str(tmp_path / "out")]
    assert main(["apply", *places]) == 2
    said = capsys.readouterr().err
    assert f"{final}: missing; the folder has fold_0/checkpoint_final.pth, fold_1/" in said
    assert "for `cardiouq apply`, by `-f` and `-chk` as for nnU-Net itself" in said
    applied("-f", "0")


def test_folds_of_an_exported_model_are_refused(make_model: Make) -> None:
    for options in ({"folds": [0]}, {"checkpoint": "best"}):
        with pytest.raises(CardiouqError, match="leave `-f` and `-chk` out"):
            read_model(make_model(), **options)  # type: ignore[arg-type]


def test_model_that_may_not_be_mirrored_is_applied(
    save: Make, volume: NDArray[np.int16], tmp_path: Path
) -> None:
    save("a.nii.gz", volume)
    folder = write(
        tmp_path / "nnUNetTrainerNoMirroring__nnUNetPlans__2d",
        folds=[0],
        structures=THEIRS,
        of_last=lambda saved: saved.update(
            inference_allowed_mirroring_axes=None, trainer_name="nnUNetTrainerNoMirroring"
        ),
    )
    places = (folder, tmp_path / "scans", tmp_path / "out")
    assert main(["apply", *map(str, places), "--device", "cpu"]) == 0


def test_checkpoints_are_read_once_for_all_scans(
    applied: Apply, save: Make, volume: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
) -> None:
    save("b.nii.gz", np.stack([volume, volume + 3], axis=-1))
    monkeypatch.setattr("cardiouq.prediction.predict.SUMS_BYTES", 1)  # a group for each frame
    read: list[Path] = []
    load = checkpoints._load

    def noted(file: Path) -> Any:
        read.append(file)
        return load(file)

    monkeypatch.setattr(checkpoints, "_load", noted)
    applied()
    assert [file.parent.name for file in read] == ["fold_0", "fold_1"]
    applied()  # nothing is missing
    assert len(read) == 2


@pytest.mark.skipif(not real.ROOT or not real.ACDC, reason="as of tests/nnunet/test_real_model.py")
def test_real_model_segments_as_nnunet_itself(tmp_path: Path) -> None:
    kind, scan = "fold0", "patient005_frame13"
    (tmp_path / "scans").mkdir()
    source = Path(real.ACDC, "training", scan.split("_")[0], f"{scan}.nii.gz")
    shutil.copy(source, tmp_path / "scans" / f"{scan}.nii.gz")
    assert structures_of(real.MODEL) == ["RV", "MYO", "LV"]
    places = (real.MODEL, tmp_path / "scans", tmp_path / "out")
    assert main(["apply", *map(str, places), "--device", "cpu", "-f", "0"]) == 0
    segmented = nib.load(tmp_path / "out/scans" / scan / "segmentation.nii.gz")
    theirs = nib.load(Path(real.ROOT, "predicted", kind, f"{scan}.nii.gz"))
    np.testing.assert_allclose(segmented.affine, nib.load(source).affine)
    ours, expected = np.asarray(segmented.dataobj), np.asarray(theirs.dataobj)
    of_structures = (ours > 0) | (expected > 0)
    assert of_structures.sum() > 5000
    same = ours == expected
    assert same.mean() >= real.LEAST_AGREEMENT
    assert same[of_structures].mean() >= real.LEAST_OF_STRUCTURES
    [row] = pd.read_csv(tmp_path / "out/subjects.csv").to_dict("records")
    edges = nib.load(source).header.get_zooms()[:3]
    ml = (expected == 3).sum() * float(np.prod(edges)) / 1000
    assert row["LV_ml"] == pytest.approx(ml, rel=0.01)
