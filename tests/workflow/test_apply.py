"""A method of a study is exported, and segments the study's scans as the study did."""

import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from cardiouq.cli import main
from cardiouq.device.environment import DEVICE_VARIABLE
from cardiouq.evaluation.quality_control import thresholds
from tests.nnunet.trained import checkpoint, write

Edited = Callable[[Path, str], AbstractContextManager[None]]

METHODS = {
    "temperature_fitted": 1,
    "swa": 2,
    "checkpoint_ensemble_multi": 6,
    "layer_ensemble": 1,
    "calibrated_ensemble": 4,
    "deep_ensemble": 2,
}
"""Methods that are evaluated -> how many networks they draw."""


@pytest.fixture(scope="module")
def evaluated(unrun: Any) -> Any:
    """The tiny study with a few methods predicted and scored, on the phantom's usual pixels."""
    study = Path(unrun.study)
    coarse = ", coarser_pixels: 2"
    text = study.read_text(encoding="utf-8")
    assert coarse in text
    study.write_text(text.replace(coarse, ""), encoding="utf-8")
    done = unrun.run(*(f"results/tiny/evaluation/{method}/scores.csv" for method in METHODS))
    assert done.returncode == 0, done.stdout
    return unrun


@pytest.fixture
def place(evaluated: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the study, with its device."""
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    monkeypatch.chdir(evaluated.directory)
    return Path(evaluated.directory)


@pytest.mark.parametrize(("method", "weights"), METHODS.items())
def test_exported_model_segments_as_its_study_did(
    evaluated: Any, place: Path, tmp_path: Path, method: str, weights: int
) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    assert main(["export", str(evaluated.study), method, str(model)]) == 0
    assert len(list(model.rglob("*.safetensors"))) == weights
    results = place / "results/tiny"
    cases = pd.read_csv(results / "data/cases.csv").set_index("case")
    [case] = pd.read_csv(results / "data/test_sets.csv").query("test_set == 'phantom-val'")["case"][
        :1
    ]
    assert main(["apply", str(model), cases.loc[case, "image"], str(out), "--device", "cpu"]) == 0
    [folder] = (out / "scans").iterdir()
    is_single = "in single precision" in (model / "README.md").read_text(encoding="utf-8")
    for name, most in (("segmentation", 0), ("entropy", 1e-6 if is_single else 0.05)):
        predicted = results / f"prediction/{method}/phantom-val/{case}_{name}.nii.gz"
        expected = np.asarray(nib.load(predicted).dataobj)
        found = np.asarray(nib.load(folder / f"{name}.nii.gz").dataobj)
        np.testing.assert_allclose(found, expected, rtol=0, atol=most)
    dice = pd.read_csv(results / f"evaluation/{method}/scores.csv").query("case == @case")
    [row] = pd.read_csv(out / "subjects.csv").to_dict("records")
    for _, score in dice.query("structure != 'foreground'").iterrows():
        # scores are of probabilities that were rounded
        assert row[f"Dice_{score['structure']}"] == pytest.approx(score["estimated_dice"], abs=1e-3)


def test_what_cannot_be_exported_is_said(
    evaluated: Any,
    place: Path,
    tmp_path: Path,
    edited: Edited,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(study: str, method: str, folder: Path) -> str:
        assert main(["export", study, method, str(folder)]) == 2
        return capsys.readouterr().err

    assert "has no method 'novel'" in said(str(evaluated.study), "novel", tmp_path / "model")
    assert "is there, and no model" in said(str(evaluated.study), "swa", tmp_path)
    assert "missing; expected the study's results" in said("demo", "vanilla", tmp_path / "model")
    study = Path(evaluated.study)
    text = study.read_text(encoding="utf-8")
    for key, other, what in (
        ("skip: 4", "skip: 5", "prediction"),
        ("assd: pooled", "assd: directed", "evaluation"),
        ("domain: OOD", "domain: ID", "evaluation"),
    ):
        assert key in text
        with edited(study, text.replace(key, other)):
            refusal = said(str(study), "layer_ensemble", tmp_path / "model")
            assert f"this {what} of layer_ensemble is of other settings or runs" in refusal
    assert not (tmp_path / "model").exists()


def test_card_is_for_people(evaluated: Any, place: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert main(["export", str(evaluated.study), "deep_ensemble", str(model)]) == 0
    card = (model / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# Deep Ens.: RV, MYO, LV\n")
    said = json.loads((model / "model.json").read_text(encoding="utf-8"))
    assert said["licence"] == "Apache-2.0"
    for fact in (said["study"], "phantom-acdc", "Not a medical device", "| LV", said["licence"]):
        assert fact in card
    assert str(place) not in card + json.dumps(said)


def test_model_knows_of_what_is_in_domain_alone(
    evaluated: Any, place: Path, tmp_path: Path
) -> None:
    """Its intervals, its thresholds and its features of scans like the training ones."""
    model, results = tmp_path / "model", place / "results/tiny"
    assert main(["export", str(evaluated.study), "deep_ensemble", str(model)]) == 0
    assert pd.read_csv(model / "calibration.csv")["subject"].nunique() == 5
    said = json.loads((model / "model.json").read_text(encoding="utf-8"))["thresholds"]
    poor = yaml.safe_load(Path(evaluated.study).read_text(encoding="utf-8"))["evaluation"]["poor"]
    slices = pd.read_csv(results / "evaluation/deep_ensemble/slice_scores.csv")
    in_domain, of_all = (
        thresholds(rows, poor) for rows in (slices.query("test_set == 'phantom-val'"), slices)
    )
    assert in_domain != of_all
    for name, (metric, start) in in_domain.items():
        assert said[name] == {"metric": metric, "from": start if np.isfinite(start) else None}
    known = pd.read_csv(model / "activations.csv")
    noted = pd.read_csv(results / "prediction/deep_ensemble/activations.csv").set_index("case")
    [*cases] = pd.read_csv(results / "data/test_sets.csv").query("test_set == 'phantom-val'")[
        "case"
    ]
    assert sorted(known["energy"]) == pytest.approx(sorted(noted.loc[cases, "energy"]))
    assert known["subject"].dtype == int


def test_snakemake_segments_each_scan_in_a_job(evaluated: Any, place: Path, tmp_path: Path) -> None:
    model, scans, out = tmp_path / "model", tmp_path / "my scans", tmp_path / "out"
    assert main(["export", str(evaluated.study), "swa", str(model)]) == 0
    cases = pd.read_csv(place / "results/tiny/data/cases.csv").set_index("case")
    scans.mkdir()
    shutil.copy(cases["image"].iloc[0], scans / "whole.nii.gz")
    broken = scans / "it's broken.nii.gz"
    broken.write_bytes(b"no scan")
    asked = [f"model={model}", f"scans={scans}", f"out={out}"]
    assert evaluated.run("--lint", config=asked).returncode == 0

    done = evaluated.run("apply", config=asked)
    assert done.returncode == 1
    assert f"NOT SEGMENTED: {broken}: cannot be read" in done.stdout
    assert f"1 of 2 scans: {out}/viewer/index.html" in done.stdout
    assert list(pd.read_csv(out / "subjects.csv")["error"].notna()) == [True, False]
    findings = out / "scans/whole/findings.json"
    made = findings.stat().st_mtime_ns

    broken.unlink()
    assert evaluated.plan("apply", config=asked).jobs == {"apply": 1}
    done = evaluated.run("apply", config=asked)
    assert done.returncode == 0, done.stdout
    assert list(pd.read_csv(out / "subjects.csv")["scan"]) == ["whole"]
    assert findings.stat().st_mtime_ns == made
    assert main(["apply", str(model), str(scans), str(tmp_path / "alone"), "--device", "cpu"]) == 0
    alone = tmp_path / "alone/scans/whole/findings.json"
    assert findings.read_bytes() == alone.read_bytes()


def test_snakemake_segments_again_what_has_failed_and_what_another_model_did(
    unrun: Any, tmp_path: Path, edited: Callable[[Path, str], AbstractContextManager[None]]
) -> None:
    checkout = replace(unrun, directory=tmp_path)
    model = write(tmp_path / "nnUNetTrainer__nnUNetPlans__2d", structures=("RV", "MYO", "LV"))
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    volume = np.random.default_rng(1).normal(100, 10, (24, 28, 2)).astype(np.float32)
    for name in "ab":
        nib.save(nib.Nifti1Image(volume, np.diag([1.5, 1.5, 8, 1])), scans / f"{name}.nii.gz")
    asked = {"study": "demo", "config": [f"model={model}", f"scans={scans}", f"out={out}"]}
    done = checkout.run("apply", **asked)
    assert done.returncode == 0, done.stdout
    assert checkout.plan("apply", **asked).jobs == {"apply": 1}

    # as after a job that ran out of memory
    (out / "scans/a/findings.json").unlink()
    done = checkout.run("apply", **asked)
    assert done.returncode == 1
    assert f"a.nii.gz: its job left no results; {out}/jobs/a.log says why" in done.stdout
    assert checkout.plan("apply", **asked).jobs == {"apply": 1, "segment": 1}
    done = checkout.run("apply", **asked)
    assert done.returncode == 0, done.stdout

    torch.save(checkpoint(7, ("RV", "MYO", "LV")), model / "fold_0/checkpoint_final.pth")
    assert checkout.plan("apply", **asked).jobs == {"apply": 1, "segment": 2}
    done = checkout.run("apply", **asked)
    assert done.returncode == 0, done.stdout
    code = checkout.repository / "src/cardiouq/apply/apply.py"
    assert checkout.plan("apply", **asked).jobs == {"apply": 1}
    text = code.read_text(encoding="utf-8")
    with edited(code, re.sub(r"^FORMAT = ", "FORMAT = 1", text, flags=re.MULTILINE)):
        assert checkout.plan("apply", **asked).jobs == {"apply": 1, "segment": 2}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["out=out {x}"], ["out {x}"]),
        (["model={m}"], ["{m}"]),
        (["scans=p{q}"], ["p{q}/a.nii.gz"]),
        (["scans=."], ["M\\udcfc.nii", "p{q}/a.nii.gz", "{r/s}.nii"]),
    ],
)
def test_paths_that_snakemake_cannot_work_on_are_named_before_any_job(
    fresh: Any, asked: list[str], said: list[str]
) -> None:
    for name in ("one.nii", "p{q}/a.nii.gz", "{r/s}.nii", "{t.nii", os.fsdecode(b"M\xfc.nii")):
        (fresh.directory / name).parent.mkdir(exist_ok=True)
        (fresh.directory / name).touch()
    model = fresh.repository / "models/acdc"
    (fresh.directory / "{m}").symlink_to(model)
    config = [f"model={model}", "scans=one.nii", *asked]
    done = fresh.run("apply", "--dry-run", study="demo", config=config)
    assert done.returncode == 1
    assert re.findall("^  - (.*)", done.stdout, re.MULTILINE) == said, done.stdout
    assert "rename them, or call `cardiouq apply`, which takes any:" in done.stdout


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "no model is given; say `--config model=FOLDER scans=FOLDER`"),
        (["model=nowhere"], "scans: no scan is there"),
        (["model=nowhere", "scans=none/*.nii"], "none/*.nii: no scan is there"),
        (["model=.", "scans=one.nii"], "is no model"),
    ],
)
def test_what_cannot_be_applied_is_said_before_any_job(
    fresh: Any, asked: list[str], said: str
) -> None:
    (fresh.directory / "one.nii").touch()
    done = fresh.run("apply", study="demo", config=asked)
    assert done.returncode == 1
    assert re.search(rf"^ERROR: .*{re.escape(said)}", done.stdout, re.MULTILINE), done.stdout
    assert "Job stats" not in done.stdout
