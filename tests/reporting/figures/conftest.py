"""Distorted scans of the made-up study."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.reporting.figures.drawn import DISTORTED, MULTI


@pytest.fixture
def distorted(study: Any, tmp_path: Path) -> pd.DataFrame:
    """The scans of one case under other names, and the predictions of two methods."""
    [row] = study.cases[study.cases["case"] == "val001_ED"].to_dict("records")
    for method in ("vanilla", MULTI):
        for test_set in ("val", *DISTORTED):
            folder = tmp_path / "prediction" / method / test_set
            folder.mkdir(parents=True)
            for path in (study.root / "prediction" / method / "val").glob("val001_ED_*"):
                name = path.name.replace("_ED_", f"_ED+{test_set.partition('+')[2]}_")
                (folder / (path.name if test_set == "val" else name)).symlink_to(path)
    names = [f"val001_ED+{test_set.partition('+')[2]}" for test_set in DISTORTED]
    return pd.DataFrame([row | {"case": name} for name in names])
