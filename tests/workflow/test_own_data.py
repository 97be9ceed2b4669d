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

from cardiouq.data.case_table import read_case_table
from cardiouq.data.phantom.generate import generate
from cardiouq.data.split import read_test_set_table
from cardiouq.files.tables import read_rows
from tests.paths import CONFIG

VOID = 255


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


NAMES = ("NA", "null", "None", "nan", "2020", "001", "1e3", "True", "inf", "N/A")
"""Of subjects; a reader that guesses types takes each for something else."""


def as_csv(acdc: Path, root: Path, values: dict[str, list[int]]) -> None:
    """The same as a table of files, where nobody annotated the first slice and part of others; the
    case at ED is called as its subject."""
    as_nnunet(acdc, root, values)
    files = sorted((root / "labelsTr").iterdir())
    for file in files:
        label = nib.load(file)
        voxels = np.asarray(label.dataobj).copy()
        voxels[..., 0] = voxels[:30, :30] = VOID
        nib.save(nib.Nifti1Image(voxels, label.affine), file)
    names = [file.name.removesuffix(".nii.gz") for file in files]
    numbers = [int(name.partition("_")[0].removeprefix("patient")) for name in names]
    subjects = [NAMES[number % len(NAMES)] for number in numbers]
    phases = ["ED" if "frame01" in name else "ES" for name in names]
    pd.DataFrame(
        {
            "image": [f"imagesTr/{name}_0000.nii.gz" for name in names],
            "label": [f"labelsTr/{name}.nii.gz" for name in names],
            "subject": subjects,
            "case": [
                subject.replace("/", "-") + ("" if phase == "ED" else "_ES")
                for subject, phase in zip(subjects, phases, strict=True)
            ],
            "phase": phases,
            "pathology": ["None" if number % 2 else "NA" for number in numbers],
            "vendor": "001",
            "site": ["1e3" if number % 2 else "1000.0" for number in range(len(names))],
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
    edited: Any,
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
        data["labels"]["ignore"] = VOID
        narrowed = {"vendor": "001", "where": {"site": "1e3"}}
    study["datasets"] = {"own": data}
    study["split"]["dataset"] = "own"
    block = {"dataset": "own", "label": "Own", "domain": "ID", "published": None}
    test_set = "NA" if layout == "csv" else "val"
    study["test_sets"] = {test_set: {**block, "split": "validation", **narrowed}}
    del tiny["methods"]["vanilla"]["repeats"]
    study["methods"] = {
        "null" if name == "vanilla" else name: tiny["methods"][name] for name in methods
    }
    used = {method["recipe"] for method in study["methods"].values()} | {"polynomial"}
    study["recipes"] = {name: tiny["recipes"][name] for name in used}
    study["distortions"] = {"test_set": test_set, "subjects": 1, "kinds": {"stretch": [0.4]}}
    for level, limit in (("volume", 0.8), ("slice", 1.5)):
        metric = study["evaluation"]["poor"][level]["metric"]
        study["evaluation"]["poor"][level] = {"metric": metric} | dict.fromkeys(structures, limit)
    study["reporting"]["published"] = None
    (home / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    done = fresh.run(study=str(home / "study.yaml"), directory=home / "work")
    assert done.returncode == 0, done.stdout
    results = home / "work" / "results" / "study"
    summary = read_rows(results / "evaluation" / "summary.csv")
    dice = summary[(summary["metric"] == "dice") & (summary["level"] == "volume")]
    assert set(dice["structure"]) == {*structures, "foreground", "mean"}
    assert set(dice["method"]) == set(study["methods"])
    assert dice["value"].between(0, 1).all()
    probabilities = next(
        (results / "prediction" / methods[-1] / test_set).glob("*_probabilities.npy")
    )
    assert len(np.load(probabilities)) == 1 + len(structures)
    cases = read_case_table(results / "data" / "cases.csv")
    assert cases["subject"].nunique() == 10
    if layout == "csv":
        assert set(cases["subject"]) == set(NAMES)
        assert set(cases["pathology"]) == {"NA", "None"}
        tested = read_test_set_table(results / "data" / "test_sets.csv").merge(cases, on="case")
        assert set(tested["site"]) == {"1e3"}
        scores = read_rows(results / "evaluation" / "null" / "scores.csv")
        assert set(scores.loc[scores["test_set"] == "NA", "case"]) == set(tested["case"])
        assert set(scores["subject"]) == set(tested["subject"])
        assert (cases["ignored_voxels"] > cases["rows"] * cases["columns"]).all()
        assert f"({len(tested)} annotated in part)" in (
            results / "reporting/tables/ranks.md"
        ).read_text(encoding="utf-8")
        for method in study["methods"]:
            slices = read_rows(results / "evaluation" / method / "slice_scores.csv")
            assert set(slices["slice"]) == set(range(1, tested["slices"].max()))

    file = home / "study.yaml"
    text = file.read_text(encoding="utf-8")
    with edited(file, text.replace("label: Own", "label: Ours")):
        planned = fresh.plan(study=str(file), directory=home / "work")
    assert {"train", "predict"}.isdisjoint(planned.jobs)
    if len(structures) > 1:
        study["structures"] = structures[::-1]
        with edited(file, yaml.safe_dump(study)):
            planned = fresh.plan(study=str(file), directory=home / "work")
        # with other label values, arrays that are trained on are others
        assert planned.jobs["list_cases"] == planned.jobs["preprocess"] == 1
        assert len(planned.trainings) == len(used)


def test_shipped_study_to_copy_leads_from_twelve_nnunet_cases_to_tables(fresh: Any) -> None:
    """With the five marked lines changed and nothing else, but for fewer steps of training."""
    home = fresh.directory
    generate(home / "phantom", acdc_subjects=6, mnms_subjects_per_vendor=1, seed=1)
    as_nnunet(home / "phantom" / "acdc", home / "Dataset007_Hearts", {"cavity": [3], "wall": [2]})
    assert len(list((home / "Dataset007_Hearts" / "labelsTr").iterdir())) == 12
    text = (CONFIG / "studies" / "own.yaml").read_text(encoding="utf-8")
    changed = (
        ("My study", "Twelve hearts"),
        ("./Dataset501_Ours", "./Dataset007_Hearts"),
        ("[RV, MYO, LV]", "[cavity, wall]"),
        ("RV: 0.80, MYO: 0.80, LV: 0.85", "cavity: 0.85, wall: 0.80"),
        ("RV: 2.0, MYO: 2.0, LV: 2.0", "cavity: 2.0, wall: 2.0"),
    )
    lines = text.splitlines()
    assert [line.partition("# <- ")[2][:1] for line in lines if "# <- " in line] == [*"12345"]
    for old, new in changed:
        [line] = [line for line in lines if old in line and "# <- " in line]
        text = text.replace(line, line.replace(old, new))
    text = text.replace("epochs: 40", "epochs: 2").replace("per_epoch: 10", "per_epoch: 2")
    (home / "my_study.yaml").write_text(text, encoding="utf-8")
    done = fresh.run(study="my_study.yaml")
    assert done.returncode == 0, done.stdout
    tables = home / "results" / "my_study" / "reporting" / "tables"
    printed = {path.stem: path.read_text(encoding="utf-8") for path in tables.glob("*.md")}
    assert "n too small" in printed["comparisons"]  # of two subjects
    assert "There is no table of clinical quantities" in printed["segmentation"]
    assert " at ED" not in printed["segmentation"]  # nnU-Net's format knows of no phases
    assert {"table1_dice", "ranks", "cost"} <= set(printed)
    assert not {"clinical", "verdict"} & set(printed)
