"""Slices of every method as they are flagged for review."""

import numpy as np
import pandas as pd

from cardiouq.evaluation.quality_control import quality_control
from cardiouq.files.documents import read_yaml
from cardiouq.structures import STRUCTURES
from tests.paths import TINY

METHODS = {name: name.replace("_", " ") for name in read_yaml(TINY)["methods"]}
TEST_SETS = {"val": "Phantom (ID)", "A": "Vendor A (OOD)"}
POOR = {"slice": {"metric": "assd_mm", "RV": 1.88, "MYO": 1.19, "LV": 1.17}, "remaining": 0.05}


def review() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every known method on two volumes of ten slices; the first one has one sample."""
    rng = np.random.default_rng(5)
    parts = []
    for number, method in enumerate(METHODS):
        for test_set in TEST_SETS:
            for structure in STRUCTURES:
                assd = rng.lognormal(0.2, 0.7, 20)
                within = assd * rng.lognormal(0, 0.5, 20) * (number > 0)
                part = {"case": np.repeat(["a", "b"], 10), "slice": np.tile(np.arange(10), 2)}
                part |= {"assd_mm": assd, "assd_within_mm": within}
                empty = {"reference_empty": part["slice"] == 9, "predicted_empty": False}
                keys = {"method": method, "test_set": test_set, "structure": structure}
                parts.append(pd.DataFrame(part).assign(**keys, **empty))
    return quality_control(pd.concat(parts), list(METHODS), list(TEST_SETS), POOR)
