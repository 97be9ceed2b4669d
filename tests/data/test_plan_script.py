"""The script of a plan looks at training scans alone."""

import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from cardiouq.data.plan import Plan
from cardiouq.data.readers.identity import hash_of


def test_a_plan_is_of_the_training_scans_alone(
    tmp_path: Path, repository: Path, save: Callable[..., None]
) -> None:
    """Their mean intensity, and their median spacing, to which all are resampled."""
    rows = []
    for subject, mean, spacing in [
        *(("t0", 90, 1.5), ("t1", 110, 1.5)),
        *((f"v{number}", 900, 3.0) for number in range(3)),
    ]:
        image = mean + np.random.default_rng(1).permutation(np.repeat([-20, 20], 40 * 36 * 2))
        image = image.reshape(40, 36, 4).astype(np.int16)
        file = tmp_path / f"{subject}.nii.gz"
        save(file, image, np.diag([spacing, spacing, 8, 1]))
        edges = {"slices": 4, "rows": 36, "columns": 40}
        edges |= {"spacing_z": 8, "spacing_y": spacing, "spacing_x": spacing}
        hashed = hash_of(image.T.astype(np.float32))
        row = {"dataset": "acdc", "subject": subject, "image": str(file), "image_hash": hashed}
        rows.append(row | edges | {"case": f"{subject}_ED", "frame": -1})
    cases = pd.DataFrame(rows)
    cases.to_csv(tmp_path / "cases.csv", index=False)
    sides = cases["subject"].str[0].map({"t": "train", "v": "validation"})
    split = cases[["dataset", "subject"]].assign(pathology="NOR", split=sides)
    split.to_csv(tmp_path / "split.csv", index=False)
    edges = {"spacing": None, "patch_size": [32, 32], "max_stages": 4}
    features = {"base_features": 4, "max_features": 16}
    snakemake = SimpleNamespace(
        log=[str(tmp_path / "log")],
        input=SimpleNamespace(cases=tmp_path / "cases.csv", split=tmp_path / "split.csv"),
        params=SimpleNamespace(plan=edges | features | {"normalisation": "training_sd"}),
        output=SimpleNamespace(plan=tmp_path / "plan.json"),
    )
    script = repository / "workflow" / "scripts" / "make_plan.py"
    runpy.run_path(str(script), init_globals={"snakemake": snakemake})
    plan = Plan.read(tmp_path / "plan.json")
    assert plan.spacing == (1.5, 1.5)
    assert plan.intensity is not None
    assert plan.intensity[0] == 100
    np.testing.assert_allclose(plan.intensity[1], np.hypot(10, 20))
