"""A model of random weights, and scans of bright bars to apply it to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from cardiouq.apply.exported import weights_file, write_exported
from cardiouq.data.plan import Plan
from cardiouq.methods.base import Member
from cardiouq.recipes.network import build_network
from cardiouq.training.checkpoints import save_tensors

torch.set_num_threads(1)
EPOCHS = 2


@pytest.fixture
def said() -> dict[str, Any]:
    """What `model.json` says of a deep ensemble of two."""
    return {
        "format": 1,
        "cardiouq": "v1",
        "study": "Tests",
        "name": "ensemble",
        "label": "Ensemble",
        "structures": ["RV", "MYO", "LV"],
        "method": {"method": "deep_ensemble", "size": 2},
        "recipe": {
            "schedule": {"name": "polynomial", "epochs": EPOCHS, "alpha_0": 0.01, "epsilon": 0.9},
            "dropout": {"p": 0.0, "place": "all"},
        },
        "members": ["0", "1"],
        "fitted": {},
        "seed": 1,
        "tile_overlap": 0.25,
        "is_assd_pooled": True,
        "data_fingerprints": ["0123456789ab"],
        "directions": [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
        "thresholds": {
            "RV": {"metric": "assd_within_mm", "from": 2.0},
            "MYO": {"metric": "assd_within_mm", "from": 2.0},
            "LV": {"metric": "assd_within_mm", "from": None},
        },
    }


@pytest.fixture
def make_model(tmp_path: Path, plan: Plan, said: dict[str, Any]) -> Callable[..., Path]:
    """A model's folder; keywords change what `model.json` says.

    Up to `highest` its energies and distances are those of scans like the training ones.
    """

    def make(highest: float = 1e6, dtype: torch.dtype = torch.float32, **changed: Any) -> Path:
        weights = {}
        for seed in (0, 1):
            torch.manual_seed(seed)
            network = build_network(plan, said["recipe"]["dropout"])
            file = tmp_path / "weights" / f"{seed}.safetensors"
            save_tensors(dict(network.named_parameters()), file)
            weights[weights_file(Member(seed), EPOCHS - 1)] = file
        quantities = [("LVEF", "%", 5.0), ("LVEDV", "ml", 10.0), ("Dice RV", "", 0.1)]
        calibration = pd.DataFrame(
            [
                {"quantity": name, "unit": unit, "subject": n, "error": error * n / 9, "spread": 0}
                for name, unit, error in quantities
                for n in range(10)
            ]
        )
        known = pd.DataFrame({"subject": range(10), "energy": highest, "mahalanobis": highest})
        folder = tmp_path / "model"
        write_exported(folder, said | changed, plan, calibration, known, weights, dtype, "# Card\n")
        return folder

    return make


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Saves an array (x, y, slices[, frames]) as a scan."""

    def save(name: str, volume: NDArray[Any], affine: NDArray[Any] | None = None) -> Path:
        file = tmp_path / "scans" / name
        file.parent.mkdir(exist_ok=True)
        given = np.diag([-1.5, -1.5, 8.0, 1.0]) if affine is None else affine
        nib.save(nib.Nifti1Image(volume, given), file)
        return file

    return save


@pytest.fixture
def volume() -> NDArray[np.int16]:
    """Noise with a bright disc, (x, y, slices) = (40, 48, 4)."""
    rng = np.random.default_rng(1)
    x, y = np.ogrid[:40, :48]
    disc = ((x - 17) ** 2 + (y - 26) ** 2 < 100)[..., None]
    return (rng.normal(100, 10, (40, 48, 4)) + 80 * disc).astype(np.int16)
