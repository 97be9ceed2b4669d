"""The folder of an exported model: data alone, checked when it is read.

It holds `model.json`, `plan.json`, `calibration.csv`, `activations.csv`, `README.md`, `SHA256SUMS`
and the weights as safetensors, `<member>/epoch-<k>.safetensors`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cardiouq.apply.familiar import Familiar
from cardiouq.apply.model import Model
from cardiouq.data.plan import Plan
from cardiouq.data.preprocessing import on_plan
from cardiouq.errors import CardiouqError
from cardiouq.files.documents import read_json
from cardiouq.files.tables import read_rows
from cardiouq.files.writing import HASHES_FILE, atomic_folder, hashes_of, read_hashes
from cardiouq.methods import build_method, build_variant, is_own
from cardiouq.methods.base import MEMBER, Member, Sampler
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import RunWeights
from cardiouq.prediction.sampler import ImageOf, RunSampler
from cardiouq.recipes.schedule import build_schedule
from cardiouq.structures import STRUCTURES
from cardiouq.training.checkpoints import load_tensors, save_tensors

CALIBRATION_NUMBERS = {"subject": int, "error": float, "spread": float}
"""Types of the columns of `calibration.csv` that are not text."""
FORMAT = 1
"""Version of the folder's form."""
MODEL_FILE, PLAN_FILE, CARD_FILE = "model.json", "plan.json", "README.md"
CALIBRATION_FILE, ACTIVATIONS_FILE = "calibration.csv", "activations.csv"
AGAIN = "export or fetch the model again"
TOLD = ("study", "name", "label", "licence", "data_fingerprints")
"""What results say of their model."""

NUMBER, TEXT, OBJECT = {"type": "number"}, {"type": "string"}, {"type": "object"}
THRESHOLD = {
    "type": "object",
    "properties": {
        "metric": {"enum": ["assd_within_mm", "estimated_dice"]},
        "from": {"type": ["number", "null"]},
    },
    "required": ["metric", "from"],
}
NEEDED = {
    "format": {"const": FORMAT},
    "cardiouq": TEXT,
    "study": TEXT,
    "name": TEXT,
    "label": TEXT,
    "structures": {"type": "array", "items": TEXT, "minItems": 1},
    "method": OBJECT,
    "recipe": OBJECT,
    "members": {
        "type": "array",
        "items": {"type": "string", "pattern": f"^({MEMBER.pattern})$"},
        "minItems": 1,
    },
    "fitted": OBJECT,
    "seed": {"type": "integer"},
    "tile_overlap": NUMBER,
    "is_assd_pooled": {"type": "boolean"},
    "data_fingerprints": {"type": "array", "items": TEXT},
    "directions": {
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "array", "items": NUMBER, "minItems": 3, "maxItems": 3},
    },
    "thresholds": {"type": "object", "additionalProperties": THRESHOLD},
}
SCHEMA = {
    "type": "object",
    "properties": NEEDED | {"licence": TEXT, "mirroring": {"type": "boolean"}},
    "required": list(NEEDED),
}
"""JSON schema of `model.json`; the first models have no licence, and mirror nothing."""


def weights_file(member: Member, epoch: int) -> str:
    """Path in a model's folder of the weights of a member after an epoch (from 0)."""
    return f"{member}/epoch-{epoch:04d}.safetensors"


class ModelRun(RunWeights):
    """The weights of a member of a model, which is fitted already."""

    def file(self, epoch: int) -> Path:
        return self.folder / weights_file(self.member, epoch)

    def _with(self, weights: dict[str, Tensor]) -> nn.Module:
        try:
            return super()._with(weights)
        except (KeyError, RuntimeError) as error:
            said = " ".join(str(error).split())[:200]
            raise CardiouqError(
                f"{self.folder}: the weights are not those of the network in {MODEL_FILE} and "
                f"{PLAN_FILE} ({said}); {AGAIN}"
            ) from None


@dataclass(frozen=True)
class ExportedModel(Model):
    """A method of a study, with the weights that it draws.

    Attributes:
        plan: grid, patch and network.
        recipe: how the weights came about.
        members: of the method.
        tile_overlap: of patches, as a share.
        mirroring: whether logits are means over mirror images.
    """

    plan: Plan
    recipe: Mapping[str, Any]
    members: tuple[Member, ...]
    tile_overlap: float
    mirroring: bool

    def seen(self, image: NDArray[np.float32], spacing: tuple[float, float]) -> NDArray[np.float32]:
        """The scan on the plan's grid, preprocessed as those that the networks learnt from."""
        return on_plan(image, spacing, self.plan)

    def sampler(self, device: torch.device, image_of: ImageOf) -> Sampler:
        """The method with the weights of its members."""
        runs = [ModelRun(self.folder, self.recipe, m, self.plan, device) for m in self.members]
        predictor = Predictor(self.plan, self.tile_overlap, device, mirrors=self.mirroring)
        schedule = build_schedule(self.recipe["schedule"])
        return RunSampler(self.method, runs, schedule, predictor, image_of)


def write_exported(
    folder: Path,
    said: Mapping[str, Any],
    plan: Plan,
    calibration: pd.DataFrame,
    activations: pd.DataFrame,
    weights: Mapping[str, Path],
    dtype: torch.dtype,
    card: str,
) -> None:
    """Write a model's folder, whole or not at all.

    Args:
        folder: takes the place of what is there.
        said: of `model.json`, in its schema.
        plan: grid, patch and network.
        calibration: rows of `conformal.calibration_of`.
        activations: rows of `familiar_activations`.
        weights: path in the folder, as `weights_file` has it -> file of the weights.
        dtype: of the weights in the folder; who loads them computes in single precision.
        card: text of `README.md`.
    """
    texts = {
        MODEL_FILE: json.dumps(said, indent=2) + "\n",
        PLAN_FILE: plan.to_json(),
        CALIBRATION_FILE: calibration.to_csv(index=False, float_format="%.6g"),
        ACTIVATIONS_FILE: activations.to_csv(index=False),
        CARD_FILE: card,
    }
    with atomic_folder(folder) as written:
        for name, file in weights.items():
            tensors = {key: value.to(dtype) for key, value in load_tensors(file).items()}
            save_tensors(tensors, written / name)
        for name, text in texts.items():
            (written / name).write_text(text, encoding="utf-8")


def exported_structures(folder: Path) -> Sequence[str]:
    """The structures that a model segments, in the order of their labels.

    Raises:
        CardiouqError: the folder is none of a model, not as it was made, or of a later version.
    """
    _check_files(folder)
    structures: list[str] = _read(folder)["structures"]
    return structures


def read_exported(folder: Path) -> ExportedModel:
    """Read and check a model's folder; nothing in it is executed.

    Raises:
        CardiouqError: as `exported_structures`, or this process works on other structures.
    """
    digest = _check_files(folder)
    said = _read(folder)
    if tuple(said["structures"]) != STRUCTURES:
        raise CardiouqError(
            f"{folder}: segments {', '.join(said['structures'])}; expected "
            f"{', '.join(STRUCTURES)}, which this process works on; apply each model on its own"
        )
    try:
        method, recipe = build_method(said["method"]), said["recipe"]
        _ = build_schedule(recipe["schedule"]), build_variant(recipe.get("variant"))
    except (KeyError, TypeError, ValueError) as error:
        raise CardiouqError(
            f"{folder / MODEL_FILE}: this version of CardioUQ has no such method or schedule "
            f"({error}); install the version that made it, {said['cardiouq']}"
        ) from None
    return ExportedModel(
        folder=folder,
        digest=digest,
        about={key: said[key] for key in TOLD if key in said},
        method=method,
        fitted={name: np.asarray(value) for name, value in said["fitted"].items()},
        seed=said["seed"],
        thresholds=said["thresholds"],
        is_assd_pooled=said["is_assd_pooled"],
        calibration=read_rows(folder / CALIBRATION_FILE, CALIBRATION_NUMBERS),
        familiar=Familiar(read_rows(folder / ACTIVATIONS_FILE)),
        directions=np.array(said["directions"]),
        plan=Plan.read(folder / PLAN_FILE),
        recipe=recipe,
        members=tuple(map(Member.parse, said["members"])),
        tile_overlap=said["tile_overlap"],
        mirroring=said.get("mirroring", False),
    )


def _check_files(folder: Path) -> str:
    """Compare all files of a model with the hashes that it came with; a hash of all of these.

    Raises:
        CardiouqError: naming the first that is missing, another than it was, or not of the model.
    """
    expected = read_hashes(folder / HASHES_FILE)
    if MODEL_FILE not in expected:
        raise CardiouqError(
            f"{folder}: is no model, as {MODEL_FILE} or its hash in {HASHES_FILE} is missing; "
            "expected a folder that `cardiouq export` made"
        )
    found = hashes_of(folder)
    found.pop(HASHES_FILE, None)
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            wrong = "is missing" if name not in found else "is not as it was exported"
            wrong = wrong if name in expected else "is not of the model"
            raise CardiouqError(f"{folder / name}: {wrong}, by {HASHES_FILE}; {AGAIN}")
    return hashlib.sha256("".join(sorted(expected.values())).encode()).hexdigest()


def _read(folder: Path) -> Any:
    """What `model.json` says.

    Raises:
        CardiouqError: it is of a later version, does not keep the schema, or names code.
    """
    file = folder / MODEL_FILE
    form = read_json(file, {"type": "object", "required": ["format"]})["format"]
    if form != FORMAT:
        raise CardiouqError(
            f"{file}: is of format {form}; this version of CardioUQ reads {FORMAT}; install the "
            "version that made it, or export it again"
        )
    said = read_json(file, SCHEMA)
    variant = said["recipe"].get("variant", {}).get("name", "")
    if any(is_own(str(name)) for name in (said["method"].get("method", ""), variant)):
        raise CardiouqError(
            f"{file}: names a file of code; expected one of CardioUQ's own methods, as a model is "
            f"data alone; {AGAIN}"
        )
    return said
