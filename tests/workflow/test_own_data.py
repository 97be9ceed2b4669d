"""Data of one's own, with other structures than the heart's three, through the whole pipeline."""

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from cardiouq.data.phantom import generate


def as_nnunet(acdc: Path, root: Path, values: dict[str, list[int]]) -> None:
    """ACDC's folder in nnU-Net's raw format, with new labels: name -> the old ones' values."""
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for label_file in sorted(acdc.glob("training/*/*_gt.nii.gz")):
        case = label_file.name.removesuffix("_gt.nii.gz")
        shutil.copy(
            label_file.with_name(f"{case}.nii.gz"), root / "imagesTr" / f"{case}_0000.nii.gz"
        )
        label = nib.load(label_file)
        old = np.asarray(label.dataobj)
        new = np.zeros_like(old)
        for value, merged in enumerate(values.values(), start=1):
            new[np.isin(old, merged)] = value
        nib.save(nib.Nifti1Image(new, label.affine), root / "labelsTr" / f"{case}.nii.gz")
    labels = {"background": 0} | {name: i for i, name in enumerate(values, start=1)}
    (root / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "MRI"}, "labels": labels, "file_ending": ".nii.gz"}),
        encoding="utf-8",
    )


def as_csv(acdc: Path, root: Path, values: dict[str, list[int]]) -> None:
    """The same as a table of files."""
    as_nnunet(acdc, root, values)
    files = sorted((root / "labelsTr").iterdir())
    names = [file.name.removesuffix(".nii.gz") for file in files]
    pd.DataFrame(
        {
            "image": [f"imagesTr/{name}_0000.nii.gz" for name in names],
            "label": [f"labelsTr/{name}.nii.gz" for name in names],
            "subject": [name.partition("_")[0] for name in names],
            "phase": ["ED" if "frame01" in name else "ES" for name in names],
            "site": ["north" if number % 2 else "south" for number in range(len(names))],
        }
    ).to_csv(root / "cases.csv", index=False)


@pytest.mark.parametrize(
    ("layout", "values", "methods"),
    [
        ("nnunet", {"cavity": [3], "wall": [2]}, ["vanilla", "layer_ensemble", "ssn"]),
        ("csv", {"heart": [1, 2, 3]}, ["vanilla", "mc_dropout", "calibrated_ensemble"]),
    ],
    ids=["two structures", "one structure"],
)
def test_other_structures_run_from_end_to_end(
    fresh: Any,
    tiny: dict[str, Any],
    layout: str,
    values: dict[str, list[int]],
    methods: list[str],
) -> None:
    """With methods whose networks or sums depend on the number of classes."""
    home = fresh.directory
    generate(home / "phantom", acdc_subjects=10, mnms_subjects_per_vendor=1, seed=1)
    structures = list(values)
    study = tiny
    del study["phantom"]
    study["structures"] = structures
    data: dict[str, Any] = {"layout": layout, "source": "./own"}
    narrowed: dict[str, Any] = {}
    if layout == "nnunet":
        as_nnunet(home / "phantom" / "acdc", home / "own", values)
        data["subject"] = "^(patient[0-9]+)_"
    else:
        as_csv(home / "phantom" / "acdc", home / "own", values)
        data["labels"] = {name: value for value, name in enumerate(structures, start=1)}
        narrowed = {"where": {"site": "north"}}
    study["datasets"] = {"own": data}
    study["split"]["dataset"] = "own"
    block = {"dataset": "own", "label": "Own", "domain": "ID", "published": None}
    study["test_sets"] = {"val": {**block, "split": "validation", **narrowed}}
    study["methods"] = {name: tiny["methods"][name] for name in methods}
    del study["methods"]["vanilla"]["repeats"]
    used = {method["recipe"] for method in study["methods"].values()} | {"polynomial"}
    study["recipes"] = {name: tiny["recipes"][name] for name in used}
    study["distortions"] = {"test_set": "val", "subjects": 1, "kinds": {"stretch": [0.4]}}
    for level, limit in (("volume", 0.8), ("slice", 1.5)):
        metric = study["evaluation"]["poor"][level]["metric"]
        study["evaluation"]["poor"][level] = {"metric": metric} | dict.fromkeys(structures, limit)
    study["reporting"]["published"] = None
    (home / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    done = fresh.run(study=str(home / "study.yaml"), directory=home / "work")
    assert done.returncode == 0, done.stdout
    results = home / "work" / "results" / "study"
    summary = pd.read_csv(results / "evaluation" / "summary.csv")
    dice = summary[(summary["metric"] == "dice") & (summary["level"] == "volume")]
    assert set(dice["structure"]) == {*structures, "foreground"}
    assert set(dice["method"]) == set(study["methods"])
    assert dice["value"].between(0, 1).all()
    probabilities = next((results / "prediction" / methods[-1] / "val").glob("*_probabilities.npy"))
    assert len(np.load(probabilities)) == 1 + len(structures)
    cases = pd.read_csv(results / "data" / "cases.csv")
    assert cases["subject"].nunique() == 10
    if layout == "csv":
        tested = pd.read_csv(results / "data" / "test_sets.csv").merge(cases, on="case")
        assert set(tested["site"]) == {"north"}
