"""A model that nnU-Net trained stands in every table beside a method that the study trains."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from tests.nnunet.trained import checkpoint, dataset, write

STRUCTURES = ("RV", "MLV", "LVC")
NAME = "nnUNetTrainer__nnUNetPlans__2d"
METHODS = f"""
methods:
  theirs:
    method: nnunet
    label: A trained nnU-Net
    model: ./secret/{NAME}
    labels: {{MYO: MLV, LV: LVC}}
    mirroring: false
"""

SAVED = """
methods:
  saved:
    method: nnunet_probabilities
    label: Saved folds
    model: ./saved
"""


def test_model_is_predicted_with_scored_and_printed_and_again_when_it_changes(
    fresh: Any,
    tmp_path: Path,
    small_study: str,
    add_to: Callable[[str, str], str],
    shared_files: Callable[[Path], list[Path]],
    found_in: Callable[[Sequence[Path], set[str]], set[tuple[str, str]]],
) -> None:
    model = write(tmp_path / "secret" / NAME, structures=STRUCTURES)
    study = tmp_path / "with_model.yaml"
    study.write_text(add_to(small_study, METHODS), encoding="utf-8")

    done = fresh.run(study=str(study))
    assert done.returncode == 0, done.stdout

    results = tmp_path / "results" / "with_model"
    tables = results / "reporting" / "tables"
    # that of aggregations has means over all methods
    for path in {*tables.glob("*.md")} - {tables / "aggregations.md"}:
        assert "A trained nnU-Net" in path.read_text(encoding="utf-8"), path
    summary = pd.read_csv(results / "evaluation" / "summary.csv").set_index(["method", "metric"])
    assert summary.loc[("theirs", "dice"), "value"].between(0, 1).all()
    assert (summary.loc[("theirs", "mutual_information_bits"), "value"] > 0).all()
    cost = pd.read_csv(tables / "cost.csv").set_index("method").loc["theirs"]
    assert np.isnan(cost["training_iterations"])
    assert (cost["passes"], cost["samples"]) == (2, 2)
    files = list(model.glob("fold_*/*.pth"))
    assert cost["checkpoint_bytes"] == sum(file.stat().st_size for file in files) > 0
    noted = json.loads((results / "provenance.json").read_text(encoding="utf-8"))["state"]["config"]
    assert noted["methods"]["theirs"]["model"] == NAME
    assert len(noted["models"]["theirs"]) == 12
    assert found_in(shared_files(results), {"secret/nnUNet", str(tmp_path)}) == set()

    assert fresh.plan(study=str(study)).jobs == {}
    torch.save(checkpoint(7, STRUCTURES), files[0])
    jobs = fresh.plan(study=str(study)).jobs
    assert jobs["predict"] == jobs["evaluate"] == 1
    assert "train" not in jobs


def test_saved_probabilities_are_scored_once_all_are_there(
    fresh: Any, tmp_path: Path, small_study: str, add_to: Callable[[str, str], str]
) -> None:
    folds = [tmp_path / "saved" / f"fold_{fold}" for fold in (0, 1)]
    for fold in folds:
        fold.mkdir(parents=True)
        text = json.dumps(dataset(("RV", "MYO", "LV")))
        (fold / "dataset.json").write_text(text, encoding="utf-8")
    study = tmp_path / "with_saved.yaml"
    study.write_text(add_to(small_study, SAVED), encoding="utf-8")
    results = tmp_path / "results" / "with_saved"
    scores = "results/with_saved/evaluation/saved/scores.csv"

    done = fresh.run(scores, study=str(study))
    assert done.returncode != 0
    cases = pd.read_csv(results / "data/cases.csv")
    tested = cases.merge(pd.read_csv(results / "data/test_sets.csv"), on="case")
    names = [image.split("/")[-1].replace(".nii.gz", ".npz") for image in tested["image"]]
    for path in [fold / name for fold in folds for name in names]:
        below = path.relative_to(tmp_path)  # where the study runs
        assert f"{below}: missing; predict this scan with nnU-Net" in done.stdout

    rng = np.random.default_rng(0)
    for fold in folds:
        for name, case in zip(names, tested.itertuples(), strict=True):
            drawn = rng.dirichlet([1] * 4, (case.slices, case.rows, case.columns))
            values = np.moveaxis(drawn, -1, 0).astype(np.float32)
            np.savez_compressed(fold / name, probabilities=values)
    done = fresh.run(scores, study=str(study))
    assert done.returncode == 0, done.stdout
    found = pd.read_csv(tmp_path / scores)
    assert set(found["case"]) == set(tested["case"])
