"""The fingerprint of what a run was trained on: scans, split and plan."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from cardiouq.data.plan import Plan
from cardiouq.data.readers.identity import hash_of
from cardiouq.data.readers.scans import load_volume
from cardiouq.data.split import cases_of

FINGERPRINT_COLUMNS = ["case", "image_hash", "label_hash", "spacing_y", "spacing_x"]
"""Columns of the case table whose hashes are of values as read, labels by what they mean."""


def fingerprint_of(
    cases: pd.DataFrame, split: pd.DataFrame, plan: Plan, recipe: Mapping[str, Any]
) -> str:
    """Twelve hex digits of the content (images, labels, spacings) of what weights depend on, and
    the plan: of the training cases and, by a recipe with a `selection`, the validation cases."""
    parts = ["train", "validation"] if "selection" in recipe else ["train"]
    return _digits([cases_of(cases, split, part)[FINGERPRINT_COLUMNS] for part in parts], plan)


def earlier_fingerprint_of(cases: pd.DataFrame, split: pd.DataFrame, plan: Plan) -> str:
    """Fingerprint as earlier versions took it, of voxels as stored; reads all training scans."""
    training = cases_of(cases, split, "train")
    hashes = {
        f"{kind}_hash": [
            hash_of(load_volume(path, frame))
            for path, frame in zip(training[kind], training["frame"], strict=True)
        ]
        for kind in ("image", "label")
    }
    return _digits([pd.DataFrame({"case": training["case"], **hashes})], plan)


def _digits(seen: Iterable[pd.DataFrame], plan: Plan) -> str:
    tables = [table.sort_values("case").to_csv(index=False) for table in seen]
    text = "".join([*tables, plan.to_json()])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
