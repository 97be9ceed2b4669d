import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from cardiouq.data.cases import read_case_table
from cardiouq.errors import CardiouqError
from cardiouq.evaluation.calibration import expected_calibration_error_of_bins
from cardiouq.evaluation.scoring import score_method

SETTINGS = {"ece": {"bins": 100, "box": "reference", "margin": 0, "pool": "voxels"}}
SHAPE = (3, 8, 7)
SPACING = (10.0, 2.0, 1.5)


def reference_label() -> NDArray[np.uint8]:
    label = np.zeros(SHAPE, np.uint8)
    label[0:2, 1:3, 1:6] = 1
    label[0:2, 3:6, 1:6] = 2
    label[0:2, 4, 2:5] = 3
    return label


def save(volume: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume.T, np.diag([*SPACING[::-1], 1])), path)


def save_prediction(folder: Path, case: str, segmentation: NDArray[np.uint8]) -> None:
    """A prediction with confidence 0.85 everywhere."""
    save(segmentation, folder / f"{case}_segmentation.nii.gz")
    others = np.full((4, *segmentation.shape), 0.05, np.float16)
    np.put_along_axis(others, segmentation[None].astype(int), np.float16(0.85), axis=0)
    np.save(folder / f"{case}_probabilities.npy", others)


def case_row(folder: Path, name: str, layout: str, label: NDArray[np.uint8]) -> dict[str, object]:
    path = folder / f"{name}_gt.nii.gz"
    save(label, path)
    return {
        **{"case": name, "dataset": layout, "layout": layout, "subject": "007", "phase": "ED"},
        **{"pathology": "", "vendor": "A", "centre": "1", "image": "", "label": str(path)},
        **{"frame": -1, "slices": SHAPE[0], "rows": SHAPE[1], "columns": SHAPE[2]},
        **{"spacing_z": SPACING[0], "spacing_y": SPACING[1], "spacing_x": SPACING[2]},
    }


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, pd.DataFrame, pd.DataFrame]:
    """Predictions, case table and test sets: `right` predicted well, `missed` without an RV, and
    `mnms` stored in the other label order."""
    label = reference_label()
    in_mnms_order = np.array([0, 3, 2, 1], np.uint8)[label]
    rows = [
        case_row(tmp_path, "right", "acdc", label),
        case_row(tmp_path, "missed", "acdc", label),
        case_row(tmp_path, "mnms", "mnms", in_mnms_order),
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "cases.csv", index=False)
    predictions = tmp_path / "prediction"
    save_prediction(predictions / "id", "right", label)
    save_prediction(predictions / "id", "missed", np.where(label == 1, 0, label).astype(np.uint8))
    save_prediction(predictions / "ood", "mnms", label)
    test_sets = pd.DataFrame({"test_set": ["id", "id", "ood"], "case": ["right", "missed", "mnms"]})
    return predictions, read_case_table(tmp_path / "cases.csv"), test_sets


def test_scores(study: tuple[Path, pd.DataFrame, pd.DataFrame]):
    scores, _ = score_method("vanilla", *study, SETTINGS)
    assert list(scores.columns) == [
        *("method", "test_set", "case", "subject", "phase", "pathology", "vendor", "structure"),
        *("dice", "reference_ml", "predicted_ml", "reference_empty", "predicted_empty"),
    ]
    assert scores["structure"].tolist() == ["RV", "MYO", "LV"] * 3
    assert scores["test_set"].tolist() == ["id"] * 6 + ["ood"] * 3
    assert set(scores["method"]) == {"vanilla"}
    assert set(scores["subject"]) == {"007"}
    indexed = scores.set_index(["case", "structure"])
    missed = indexed.loc[("missed", "RV")]
    assert (missed["dice"], missed["predicted_ml"]) == (0, 0)
    assert missed["predicted_empty"] and not missed["reference_empty"]
    assert (indexed["dice"].drop(index=("missed", "RV")) == 1).all()
    # 2 slices of 2 x 5 voxels of 10 x 2 x 1.5 mm
    assert indexed.loc[("mnms", "RV"), "reference_ml"] == pytest.approx(20 * 0.03)
    assert indexed.loc[("mnms", "LV"), "predicted_ml"] == pytest.approx(6 * 0.03)


def test_calibration(study: tuple[Path, pd.DataFrame, pd.DataFrame]):
    _, calibration = score_method("vanilla", *study, SETTINGS)
    assert list(calibration.columns) == [
        *("method", "test_set", "case", "bin", "voxels", "confidence", "correct")
    ]
    by_case = calibration.set_index("case")
    assert by_case["voxels"].tolist() == [2 * 5 * 5] * 3
    assert by_case["correct"].to_dict() == {"right": 50, "missed": 30, "mnms": 50}
    confidence = float(np.float16(0.85))
    error = expected_calibration_error_of_bins(calibration[:2], "volumes")
    assert error == pytest.approx((1 - confidence + confidence - 0.6) / 2)


def test_missing_prediction_is_named(study: tuple[Path, pd.DataFrame, pd.DataFrame]):
    missing = study[0] / "id" / "missed_probabilities.npy"
    missing.unlink()
    with pytest.raises(CardiouqError, match=f"{missing}: missing"):
        score_method("vanilla", *study, SETTINGS)


def test_prediction_on_another_grid_is_named(study: tuple[Path, pd.DataFrame, pd.DataFrame]):
    save(np.zeros((3, 7, 8), np.uint8), study[0] / "id" / "right_segmentation.nii.gz")
    with pytest.raises(CardiouqError, match=r"right_segmentation.*\(3, 7, 8\).*\(3, 8, 7\)"):
        score_method("vanilla", *study, SETTINGS)


def test_bad_probabilities_are_named(study: tuple[Path, pd.DataFrame, pd.DataFrame]):
    np.save(study[0] / "id" / "right_probabilities.npy", np.full((4, *SHAPE), np.nan))
    with pytest.raises(CardiouqError, match=r"right_probabilities\.npy.*NaN"):
        score_method("vanilla", *study, SETTINGS)


def test_unknown_case_is_named(study: tuple[Path, pd.DataFrame, pd.DataFrame]):
    predictions, cases, test_sets = study
    with pytest.raises(CardiouqError, match=r"cases\.csv has not: mnms"):
        score_method("vanilla", predictions, cases[cases["case"] != "mnms"], test_sets, SETTINGS)


def test_needs_neither_torch_nor_monai():
    code = (
        "import sys, cardiouq.evaluation.scoring\nassert not {'torch', 'monai'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
