"""Which scans, split and plan a run was trained on, as one short text."""

import hashlib

import pandas as pd

from cardiouq.data.plan import Plan
from cardiouq.data.split import cases_of

LEARNT_FROM = ["case", "image_hash", "label_hash", "spacing_y", "spacing_x"]
"""Hashes are of values as they are read: of labels, of what their values mean."""


def fingerprint_of(cases: pd.DataFrame, split: pd.DataFrame, plan: Plan) -> str:
    """Twelve hex digits of the training cases' content (images, labels, spacings) and the plan."""
    training = cases_of(cases, split, "train")[LEARNT_FROM]
    text = training.sort_values("case").to_csv(index=False) + plan.to_json()
    return hashlib.sha256(text.encode()).hexdigest()[:12]
