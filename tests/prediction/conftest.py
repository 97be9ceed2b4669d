"""Runs on disk with random weights, and cases to predict."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from cardiouq.data.plan import Plan
from cardiouq.files.writing import atomic_write
from cardiouq.methods import build_variant
from cardiouq.methods.base import Member
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import HeldOut, RunOnDisk
from cardiouq.recipes.network import build_network
from cardiouq.training.checkpoints import save_tensors

torch.set_num_threads(1)

FINGERPRINT, EARLIER = "0123456789ab", "ba9876543210"


@pytest.fixture
def make_run(tmp_path: Path, plan: Plan, arrays: Path) -> Callable[..., RunOnDisk]:
    """A finished run: `weights` says epoch -> seed of the weights kept after it. Case c was held
    out."""

    def make(
        member: int,
        weights: dict[int, int],
        dropout: float = 0.0,
        variant: dict[str, Any] | None = None,
    ) -> RunOnDisk:
        folder = tmp_path / f"seed-{member}"
        settings = {"p": dropout, "place": "all"}
        for epoch, seed in weights.items():
            torch.manual_seed(seed)
            network = build_variant(variant).network(build_network(plan, settings))
            save_tensors(
                dict(network.named_parameters()),
                folder / "checkpoints" / f"epoch-{epoch:04d}.safetensors",
            )
        identity: dict[str, Any] = {
            "data_fingerprint": FINGERPRINT,
            "member": str(member),
            "recipe": {"dropout": settings} | ({"variant": variant} if variant else {}),
        }
        with atomic_write(folder / "run.json") as temporary:
            temporary.write_text(json.dumps(identity), encoding="utf-8")
        cpu = torch.device("cpu")
        held_out = HeldOut(("c",), arrays, Predictor(plan, 0.25, cpu))
        return RunOnDisk(
            folder,
            identity["recipe"],
            Member(member),
            plan,
            FINGERPRINT,
            cpu,
            held_out,
            lambda: EARLIER,
        )

    return make


@pytest.fixture
def cases(tmp_path: Path, arrays: Path) -> list[Any]:
    """Cases a and b, whose own grid (4, 50, 44) is finer than the arrays'."""
    del arrays  # the preprocessed volumes of these names
    image = nib.Nifti1Image(np.zeros((44, 50, 4), np.int16), np.diag([-1.2, -1.2, 8.0, 1.0]))
    nib.save(image, tmp_path / "scan.nii.gz")
    return [
        SimpleNamespace(
            case=name,
            image=str(tmp_path / "scan.nii.gz"),
            frame=-1,
            slices=4,
            rows=50,
            columns=44,
        )
        for name in "ab"
    ]
