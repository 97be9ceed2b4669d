"""A model that nnU-Net 2.8.1 trained on ACDC predicts what nnU-Net itself predicted with it.

`CARDIOUQ_NNUNET_ROOT` names a folder with the model and, under `predicted/`, what nnU-Net gave:
`fold0` with mirroring, `fold0_nomirror` and `folds01_nomirror` without, and the probabilities of
one scan; `CARDIOUQ_ACDC_ROOT` that of the scans.
"""

import os
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cardiouq.data.readers.scans import read_scan
from cardiouq.methods.nnunet_probabilities import Method
from cardiouq.nnunet.model import read_trained
from cardiouq.nnunet.predictor import predict_scan

ROOT = os.environ.get("CARDIOUQ_NNUNET_ROOT", "")
ACDC = os.environ.get("CARDIOUQ_ACDC_ROOT", "")
MODEL = Path(ROOT) / "Dataset027_ACDC" / "nnUNetTrainer__nnUNetPlans__2d"
LEAST_AGREEMENT = 0.9995
"""Share of a scan's voxels, and less of its structures' alone."""
LEAST_OF_STRUCTURES = 0.999
LARGEST_DIFFERENCE = 1e-3
"""Of probabilities; nnU-Net adds up logits in half precision."""
SCANS = (
    "patient005_frame01",
    "patient005_frame13",
    "patient025_frame01",
    "patient025_frame09",
    "patient045_frame01",
    "patient045_frame13",
)
PREDICTED = [
    *(("fold0_nomirror", scan) for scan in SCANS),
    *(("fold0", scan) for scan in SCANS),
    *(("folds01_nomirror", scan) for scan in SCANS if scan.endswith("frame01")),
]

pytestmark = pytest.mark.skipif(
    not ROOT or not ACDC, reason="CARDIOUQ_NNUNET_ROOT or CARDIOUQ_ACDC_ROOT is not set"
)


@cache
def predicted(kind: str, scan: str) -> NDArray[np.float32]:
    """Our probabilities (classes, slices, rows, columns), averaged in nnU-Net's way."""
    model = read_trained(MODEL, folds=list(kind.split("_")[0].removeprefix("fold").strip("s")))
    device = torch.device("cpu")
    networks = (model.network(member, device) for member in model.members)
    file = Path(ACDC, "training", scan.split("_")[0], f"{scan}.nii.gz")
    image, voxels = read_scan(file, -1, to_end=True)
    spacing: Any = tuple(float(edge) for edge in reversed(image.header.get_zooms()))
    mirrored = not kind.endswith("nomirror")
    return predict_scan(
        model,
        networks,
        voxels.astype(np.float32),
        spacing,
        device,
        mirrored=mirrored,
        mean_of="logits",
    ).numpy()


@pytest.mark.parametrize(("kind", "scan"), PREDICTED)
def test_segmentations_are_nnunet_s_own(kind: str, scan: str) -> None:
    theirs = np.asarray(nib.load(Path(ROOT, "predicted", kind, f"{scan}.nii.gz")).dataobj).T
    ours = predicted(kind, scan).argmax(0)
    of_structures = (ours > 0) | (theirs > 0)
    assert of_structures.sum() > 5000
    same = ours == theirs
    print(f"{kind} {scan}: {same.mean():.6f}, of structures {same[of_structures].mean():.5f}")
    assert same.mean() >= LEAST_AGREEMENT
    assert same[of_structures].mean() >= LEAST_OF_STRUCTURES


def test_saved_probabilities_are_read_as_nnunet_s_own_segmentation(tmp_path: Path) -> None:
    kind, scan = "fold0_nomirror", "patient045_frame01"
    fold = tmp_path / "fold_0"
    fold.mkdir()
    (fold / "dataset.json").symlink_to(MODEL / "dataset.json")
    (fold / f"{scan}.npz").symlink_to(Path(ROOT, "predicted", f"{kind}_npz", f"{scan}.npz"))
    method = Method(model=str(tmp_path), labels={"MYO": "MLV", "LV": "LVC"})
    method.check(("RV", "MYO", "LV"))
    theirs = np.asarray(nib.load(Path(ROOT, "predicted", kind, f"{scan}.nii.gz")).dataobj).T
    slices, rows, columns = theirs.shape
    case: Any = SimpleNamespace(
        case=scan, image=f"{scan}.nii.gz", frame=-1, slices=slices, rows=rows, columns=columns
    )
    sampler = method.sampler(torch.device("cpu"))
    [draw] = sampler.draws({})
    seen = sampler.prepare(case)
    # its labels are in the order of the study's structures
    ours = seen.probabilities(seen.output(draw.network)).argmax(0)
    np.testing.assert_array_equal(ours, theirs)


def test_probabilities_are_nnunet_s_own() -> None:
    kind, scan = "fold0_nomirror", "patient045_frame01"
    with np.load(Path(ROOT, "predicted", f"{kind}_npz", f"{scan}.npz")) as file:
        theirs = file["probabilities"]
    difference = np.abs(predicted(kind, scan) - theirs)
    print(f"largest difference {difference.max():.6f}, mean {difference.mean():.7f}")
    assert difference.max() <= LARGEST_DIFFERENCE
