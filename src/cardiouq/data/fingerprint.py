"""Which scans, split and plan a run was trained on, as one short text."""

import hashlib

import pandas as pd

from cardiouq.data.plan import Plan
from cardiouq.data.split import cases_of


def fingerprint_of(cases: pd.DataFrame, split: pd.DataFrame, plan: Plan) -> str:
    """Twelve hex digits of the training cases' content (images, labels and what the labels' values
    mean) and the plan."""
    content = ["case", "labels", "image_hash", "label_hash"]
    training = cases_of(cases, split, "train")[content]
    text = training.sort_values("case").to_csv(index=False) + plan.to_json()
    return hashlib.sha256(text.encode()).hexdigest()[:12]
