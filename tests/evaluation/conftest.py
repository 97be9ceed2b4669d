"""Predictions on disk, and their case table, to be scored."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from cardiouq.data.case_table import read_case_table
from cardiouq.data.readers.identity import hash_of
from cardiouq.data.readers.scans import in_project_order
from cardiouq.files.writing import atomic_write

SETTINGS: dict[str, Any] = {
    "ece": {"bins": 100, "box": "reference", "margin": 0, "pool": "voxels"},
    "surface": {"assd": "pooled", "tolerance_mm": 2.0},
    "poor": {
        "volume": {"metric": "dice", "RV": 0.8, "MYO": 0.8, "LV": 0.85, "foreground": 0.9},
        "slice": {"metric": "assd_mm", "RV": 1.88, "MYO": 1.19, "LV": 1.17},
        "remaining": 0.05,
    },
    "bootstrap": {"resamples": 50, "confidence": 0.95},
}
SHAPE = (3, 20, 18)
SPACING = (10.0, 2.0, 1.5)


class Scored(NamedTuple):
    """What `score_method` is called with after the method's name."""

    predictions: Path
    cases: pd.DataFrame
    test_sets: pd.DataFrame
    settings: dict[str, Any]
    learnt_from: Sequence[str] = ("id",)
    seed: int = 1


def heart(shift: int = 0) -> NDArray[np.uint8]:
    """Labels of a heart in the first two of three slices, moved by columns."""
    label = np.zeros(SHAPE, np.uint8)
    label[0:2, 3:6, 4:12] = 1
    label[0:2, 6:14, 4:12] = 2
    label[0:2, 8:12, 6:10] = 3
    return np.roll(label, shift, axis=2)


def save(volume: NDArray[Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume.T, np.diag([*SPACING[::-1], 1])), path)


def save_prediction(folder: Path, case: str, samples: list[NDArray[np.uint8]]) -> None:
    """The mean of samples that are 0.85 certain of their label everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    certain = [np.where(np.arange(4)[:, None, None, None] == s, 0.85, 0.05) for s in samples]
    mean = np.mean(certain, axis=0)
    np.save(folder / f"{case}_probabilities.npy", mean.astype(np.float16))
    maps = {
        "segmentation": mean.argmax(0).astype(np.uint8),
        "entropy": -(mean * np.log2(mean)).sum(0).astype(np.float32),
    }
    if len(samples) > 1:
        maps["samples"] = np.stack(samples)
        maps["mutual_information"] = maps["entropy"] / 2
        maps["variance"] = np.var(certain, axis=0).mean(0).astype(np.float32)
    for name, volume in maps.items():
        save(volume, folder / f"{case}_{name}.nii.gz")


def case_row(
    folder: Path,
    subject: str,
    phase: str,
    label: NDArray[np.uint8],
    labels: str = "background=0 RV=1 MYO=2 LV=3",
) -> dict[str, Any]:
    case = f"{subject}_{phase}"
    path = folder / "labels" / f"{case}.nii.gz"
    save(label, path)
    return {
        "case": case,
        "dataset": "acdc",
        "labels": labels,
        "subject": subject,
        "visit": "",
        "phase": phase,
        "pathology": "",
        "vendor": "A",
        "centre": "1",
        "image": "",
        "label": str(path),
        "frame": -1,
        "slices": SHAPE[0],
        "rows": SHAPE[1],
        "columns": SHAPE[2],
        "spacing_z": SPACING[0],
        "spacing_y": SPACING[1],
        "spacing_x": SPACING[2],
        "label_hash": hash_of(in_project_order(label, labels, path)),
    }


def study_maker(root: Path) -> Callable[..., Scored]:
    """Writes the predictions of a method on subjects, each with the shifts of its samples; None is
    a prediction of nothing but background."""

    def make(name: str, **subjects: Sequence[int] | None) -> Scored:
        predictions = root / "prediction" / name
        rows = []
        for subject, shifts in subjects.items():
            for phase in ("ED", "ES"):
                rows.append(case_row(root, subject, phase, heart()))
                nothing = np.zeros(SHAPE, np.uint8)
                samples = [nothing] if shifts is None else [heart(shift) for shift in shifts]
                save_prediction(predictions / "id", rows[-1]["case"], samples)
        table = root / "cases.csv"
        with atomic_write(table) as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False)
        test_sets = pd.DataFrame({"test_set": "id", "case": [row["case"] for row in rows]})
        return Scored(predictions, read_case_table(table), test_sets, SETTINGS)

    return make


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Scored]:
    return study_maker(tmp_path)
