"""A model is applied to scans: what is written, where it lies, and what becomes of broken ones."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from nibabel.orientations import apply_orientation, inv_ornt_aff
from numpy.typing import NDArray

from cardiouq.apply import segment
from cardiouq.apply.apply import apply
from cardiouq.apply.findings import UNLIKE
from cardiouq.apply.model_folder import read_model
from cardiouq.apply.scans import find_scans
from cardiouq.cli import main
from cardiouq.device.environment import DEVICE_VARIABLE
from cardiouq.errors import CardiouqError
from cardiouq.evaluation.clinical import UNITS

Make = Callable[..., Path]


def cpu() -> torch.device:
    """The device, chosen."""
    return torch.device("cpu")


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says which device this process is to take, and the next test may want another."""
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")


def outputs(folder: Path) -> dict[str, Any]:
    return {file.name.split(".")[0]: nib.load(file) for file in folder.glob("*.nii.gz")}


@pytest.fixture
def cine(volume: NDArray[np.int16]) -> NDArray[np.int16]:
    """Three frames that differ."""
    return np.stack([volume, np.roll(volume, 3, 0), np.roll(volume, 5, 1)], axis=-1)


def test_outputs_lie_over_their_scan(
    make_model: Make, save: Make, cine: NDArray[np.int16], tmp_path: Path
) -> None:
    affine = nib.affines.from_matvec(
        [[-1.2, 0.5, 0.1], [-0.5, -1.2, 0.3], [0.03, 0.04, 8]], [10, -20, 30]
    )
    affine[:3, :3] = np.linalg.qr(affine[:3, :3])[0] * [1.5, 1.4, 8]
    scan = nib.load(save("one.nii.gz", cine, affine))
    apply(read_model(make_model()), {"one": tmp_path / "scans/one.nii.gz"}, tmp_path / "out", cpu)
    found = outputs(tmp_path / "out/scans/one")
    assert sorted(found) == [
        "entropy",
        "mutual_information",
        "probability_LV",
        "probability_MYO",
        "probability_RV",
        "segmentation",
    ]
    for image in found.values():
        assert image.shape == scan.shape
        np.testing.assert_array_equal(image.get_sform(), scan.get_sform())
        np.testing.assert_array_equal(image.get_qform(), scan.get_qform())
        assert image.header["sform_code"] == scan.header["sform_code"]
    probabilities = np.stack([found[f"probability_{n}"].get_fdata() for n in ("RV", "MYO", "LV")])
    every = np.concatenate([1 - probabilities.sum(0, keepdims=True), probabilities])
    labels = np.asarray(found["segmentation"].dataobj)
    chosen = np.take_along_axis(every, labels[None].astype(int), 0)[0]
    assert (chosen >= every.max(0) - 1e-4).all()
    assert len(np.unique(labels)) > 1


@pytest.mark.parametrize("order", [[[1, 1], [0, -1], [2, -1]], [[0, -1], [1, 1], [2, 1]]])
def test_order_of_storage_changes_nothing_in_space(
    make_model: Make, save: Make, cine: NDArray[np.int16], tmp_path: Path, order: list[list[int]]
) -> None:
    affine = np.diag([-1.5, -1.3, 8, 1.0])
    save("a.nii.gz", cine, affine)
    turned = apply_orientation(cine, order)
    save("b.nii.gz", turned, affine @ inv_ornt_aff(order, cine.shape[:3]))
    out = tmp_path / "out"
    apply(read_model(make_model()), find_scans(str(tmp_path / "scans")), out, cpu)
    one, other = outputs(out / "scans/a"), outputs(out / "scans/b")
    for name, image in one.items():
        expected = apply_orientation(np.asarray(image.dataobj), order)
        np.testing.assert_array_equal(np.asarray(other[name].dataobj), expected)
    assert np.asarray(one["segmentation"].dataobj).any()


def test_frames_are_those_of_volumes_of_their_own(
    make_model: Make, save: Make, cine: NDArray[np.int16], tmp_path: Path
) -> None:
    save("cine.nii.gz", cine)
    save("third.nii.gz", cine[..., 2])
    out = tmp_path / "out"
    apply(read_model(make_model()), find_scans(str(tmp_path / "scans")), out, cpu)
    for name, image in outputs(out / "scans/cine").items():
        alone = outputs(out / "scans/third")[name]
        np.testing.assert_array_equal(image.dataobj[..., 2], np.asarray(alone.dataobj))


def test_memory_is_bounded_by_the_frames_of_a_group(
    make_model: Make,
    save: Make,
    cine: NDArray[np.int16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scans = {"cine": save("cine.nii.gz", cine)}
    apply(read_model(make_model()), scans, tmp_path / "whole", cpu)
    monkeypatch.setattr("cardiouq.prediction.predict.SUMS_BYTES", 1)
    held = []
    summed = segment.sum_samples

    def watched(*given: Any) -> Any:
        held.append(len(given[2]))
        return summed(*given)

    monkeypatch.setattr(segment, "sum_samples", watched)
    apply(read_model(make_model()), scans, tmp_path / "parts", cpu)
    assert held == [1, 1, 1]
    for name, image in outputs(tmp_path / "whole/scans/cine").items():
        part = outputs(tmp_path / "parts/scans/cine")[name]
        np.testing.assert_array_equal(np.asarray(image.dataobj), np.asarray(part.dataobj))


def test_numbers_of_a_cine(
    make_model: Make, save: Make, cine: NDArray[np.int16], tmp_path: Path
) -> None:
    scans = {"cine": save("cine.nii.gz", cine)}
    apply(read_model(make_model()), scans, tmp_path / "out", cpu)
    [row] = pd.read_csv(tmp_path / "out/subjects.csv").itertuples()
    labels = np.asarray(outputs(tmp_path / "out/scans/cine")["segmentation"].dataobj)
    ml = (labels == 3).sum((0, 1, 2)) * 1.5 * 1.5 * 8 / 1000
    assert (row.ED_frame, row.ES_frame) == (1 + ml.argmax(), 1 + ml.argmin())
    assert row.LVEDV_ml == pytest.approx(ml.max(), rel=1e-5)
    assert row.LVEF_percent == pytest.approx(100 * (1 - ml.min() / ml.max()), rel=1e-5)
    # of ten subjects the largest error, 5 %, is the half width at 90 %; 95 % would need 19
    assert row.level == 0.9
    assert row.LVEF_percent - row.LVEF_percent_low >= 5
    results = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert [f["ml"]["LV"] for f in results["scans"][0]["frames"]] == pytest.approx(ml.tolist())


def test_level_of_a_row_is_one_that_all_its_intervals_have(
    make_model: Make, save: Make, cine: NDArray[np.int16], tmp_path: Path
) -> None:
    """Of twenty subjects one had no EF, say, and its interval reached no 95 %."""
    numbers = {"LVEDV": range(20), "LVEF": range(10)}
    rows = [
        {"quantity": name, "unit": UNITS[name], "subject": n, "error": n + 1.0, "spread": 0.0}
        for name, subjects in numbers.items()
        for n in subjects
    ]
    model = replace(read_model(make_model()), calibration=pd.DataFrame(rows))
    apply(model, {"cine": save("cine.nii.gz", cine)}, tmp_path / "out", cpu)
    row = pd.read_csv(tmp_path / "out/subjects.csv").loc[0]
    assert row["level"] == 0.9
    results = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    of_level = {
        (of["quantity"], of["nominal"]): of["high"] for of in results["scans"][0]["quantities"]
    }
    assert of_level["LVEDV", 0.9] < of_level["LVEDV", 0.95] and ("LVEF", 0.95) not in of_level
    for name, column in (("LVEDV", "LVEDV_ml"), ("LVEF", "LVEF_percent")):
        assert row[f"{column}_high"] == pytest.approx(of_level[name, 0.9], rel=1e-5)
    assert np.isnan(row["RVEDV_ml_high"]) and row["RVEDV_ml"] >= 0


def test_file_that_says_nothing_of_its_orientation_is_seen_as_it_is_stored(
    make_model: Make, save: Make, volume: NDArray[np.int16], tmp_path: Path
) -> None:
    """As the training scans, where nibabel would make up an axis that is the other way about."""
    known = save("known.nii.gz", volume)
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(volume.shape)
    header.set_zooms((1.5, 1.5, 8))
    header.set_xyzt_units("mm")
    unknown = known.with_name("unknown.nii.gz")
    nib.save(nib.Nifti1Image(volume, None, header), unknown)
    saved = nib.load(unknown)
    assert saved.header["qform_code"] == saved.header["sform_code"] == 0
    out = tmp_path / "out"
    apply(read_model(make_model()), find_scans(str(known.parent)), out, cpu)
    for name, image in outputs(out / "scans/known").items():
        other = outputs(out / "scans/unknown")[name]
        np.testing.assert_array_equal(np.asarray(other.dataobj), np.asarray(image.dataobj))
        assert other.header["qform_code"] == other.header["sform_code"] == 0


def test_of_a_cine_without_phases_the_worst_frame_is_told(
    make_model: Make,
    save: Make,
    cine: NDArray[np.int16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segment, "phases", lambda frames: {})  # as of other organs
    apply(read_model(make_model()), {"a": save("a.nii.gz", cine)}, tmp_path / "out", cpu)
    row = pd.read_csv(tmp_path / "out/subjects.csv").loc[0]
    results = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    frames = results["scans"][0]["frames"]
    for name in ("RV", "MYO", "LV"):
        dice = [frame["expected_dice"][name] for frame in frames]
        assert min(dice) < dice[-1] or name != "RV"
        assert row[f"Dice_{name}"] == pytest.approx(min(dice), rel=1e-5)
        ml = [frame["ml"][name] for frame in frames]
        ends = [row[f"{name}_smallest_ml"], row[f"{name}_largest_ml"]]
        assert ends == pytest.approx([min(ml), max(ml)], rel=1e-5)
    [worst] = [
        of
        for of in results["scans"][0]["quantities"]
        if of["nominal"] == row["level"] == 0.9
        and of["estimate"]
        == min(
            each["estimate"]
            for each in results["scans"][0]["quantities"]
            if each["quantity"] == "Dice RV"
        )
    ]
    assert row["Dice_RV_low"] == pytest.approx(worst["low"], abs=1e-5)


def test_scan_beyond_what_in_domain_scans_had_is_called_unlike_them(
    make_model: Make, save: Make, cine: NDArray[np.int16], tmp_path: Path
) -> None:
    scans = {"cine": save("cine.nii.gz", cine)}
    apply(read_model(make_model()), scans, tmp_path / "like", cpu)
    apply(read_model(make_model(highest=-1e6)), scans, tmp_path / "unlike", cpu)
    like, unlike = (
        json.loads((tmp_path / name / "results.json").read_text(encoding="utf-8"))
        for name in ("like", "unlike")
    )
    assert UNLIKE not in like["scans"][0]["reasons"]
    [scan] = unlike["scans"]
    assert unlike["familiar"]["n_subjects"] == 10 and unlike["familiar"]["level"] == 0.9
    said = scan["reasons"][UNLIKE]
    for phase, frame in scan["phases"].items():
        energy = scan["frames"][frame]["shift"]["energy"]
        assert f"{phase} energy {energy:.4g}, limit -1e+06 of 10 subjects" in said
    assert len({frame["shift"]["energy"] for frame in scan["frames"]}) == 3
    [row] = pd.read_csv(tmp_path / "unlike/subjects.csv").itertuples()
    assert row.flagged and said in row.reasons


def test_second_call_does_only_what_is_missing(
    make_model: Make,
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scans = {name: save(f"{name}.nii.gz", volume + n) for n, name in enumerate("abc")}
    made: list[str] = []
    real = segment.Segmenter.segment

    def noted(self: Any, scan: Any, name: str, *rest: Any) -> None:
        made.append(name)
        real(self, scan, name, *rest)

    monkeypatch.setattr(segment.Segmenter, "segment", noted)
    model, out = read_model(make_model()), tmp_path / "out"
    apply(model, {"a": scans["a"]}, out, cpu)
    apply(model, scans, out, cpu)
    assert made == ["a", "b", "c"]
    page = (out / "viewer/index.html").stat().st_mtime_ns
    apply(model, scans, out, cpu)
    assert made == ["a", "b", "c"]
    assert (out / "viewer/index.html").stat().st_mtime_ns == page
    (out / "scans/b/entropy.nii.gz").unlink()
    save("c.nii.gz", volume + 9)
    apply(model, scans, out, cpu)
    assert made[3:] == ["b", "c"]
    apply(read_model(make_model(seed=3)), scans, out, cpu)
    assert made[5:] == ["a", "b", "c"]


def test_device_is_chosen_only_for_scans_that_are_still_to_be_segmented(
    make_model: Make,
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As the last job of many on a cluster, whose node has no GPU."""
    save("a.nii.gz", volume)
    save("broken.nii.gz", np.zeros_like(volume))
    arguments = ["apply", *map(str, (make_model(), tmp_path / "scans", tmp_path / "out"))]
    assert main([*arguments, "--device", "cpu"]) == 1
    written = {tmp_path / "out" / name for name in ("subjects.csv", "results.json")}
    for file in written:
        file.unlink()

    def refuse() -> torch.device:
        raise CardiouqError("no GPU to claim")

    monkeypatch.setattr("cardiouq.device.choose.choose_device", refuse)
    assert main([*arguments, "--device", "cuda"]) == 1
    assert all(file.is_file() for file in written)
    results = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert results["scans"][0]["device"].startswith("cpu, ")
    assert results["scans"][0]["precision"] in {"bfloat16", "float32"}
    save("b.nii.gz", volume + 1)
    assert main([*arguments, "--device", "cuda"]) == 2
    assert "ERROR: no GPU to claim" in capsys.readouterr().err


def test_scan_that_is_renamed_or_moved_is_shown_as_it_is_now(
    make_model: Make,
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page is made anew from stored findings, from another folder and of scans that moved."""
    monkeypatch.chdir(tmp_path)
    save("a.nii.gz", volume)
    model, out = str(make_model()), str(tmp_path / "out")
    assert main(["apply", model, "scans", out, "--device", "cpu"]) == 0
    segmented = (tmp_path / "out/scans/a/findings.json").stat().st_mtime_ns
    (tmp_path / "scans").rename(tmp_path / "moved")
    shutil.rmtree(tmp_path / "out/viewer")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["apply", model, "../moved", out, "--device", "cpu"]) == 0
    assert (tmp_path / "out/scans/a/findings.json").stat().st_mtime_ns == segmented
    results = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert [scan["file"] for scan in results["scans"]] == ["../moved/a.nii.gz"]
    page = tmp_path / "out/viewer/index.html"
    assert '"name":"a"' in page.read_text(encoding="utf-8")
    (tmp_path / "moved/a.nii.gz").rename(tmp_path / "moved/b.nii.gz")
    assert main(["apply", model, "../moved", out, "--device", "cpu"]) == 0
    assert pd.read_csv(tmp_path / "out/subjects.csv")["scan"].tolist() == ["b"]
    assert '"name":"b"' in page.read_text(encoding="utf-8")
