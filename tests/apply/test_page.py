"""The page of a model's scans: what it lists, and what it shows of a scan."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from cardiouq.apply import segment
from cardiouq.apply.apply import apply
from cardiouq.apply.measures import FrameMeasures
from cardiouq.apply.model_folder import read_model
from cardiouq.reporting.viewer.drawing import grey_picture
from tests.browser import needs_browser, run_in_page

Make = Callable[..., Path]


@pytest.fixture
def viewer(make_model: Make, save: Make, volume: NDArray[np.int16], tmp_path: Path) -> Path:
    """The page of a volume and of a cine."""
    scans = {
        "volume": save("volume.nii.gz", volume),
        "cine": save("cine.nii.gz", np.stack([volume, np.roll(volume, 3, 0)], axis=-1)),
    }
    apply(read_model(make_model()), scans, tmp_path / "out", lambda: torch.device("cpu"))
    return tmp_path / "out/viewer"


def page_of(viewer: Path) -> Any:
    html = (viewer / "index.html").read_text(encoding="utf-8")
    [text] = re.findall(r'<script id="page" type="application/json">(.+?)</script>', html)
    return json.loads(text)


def pictures_of(viewer: Path, entry: Any) -> Any:
    """What the page is handed of a scan when it is opened."""
    text = (viewer / entry["file"]).read_text(encoding="utf-8")
    return json.loads(text[text.index("{") : text.rindex(");")])


def test_list_says_of_each_scan_what_it_comes_to(viewer: Path) -> None:
    page = page_of(viewer)
    results = json.loads((viewer.parent / "results.json").read_text(encoding="utf-8"))
    table = pd.read_csv(viewer.parent / "subjects.csv").set_index("scan")
    entries = {entry["name"]: entry for entry in page["cases"]}
    assert page["criteria"][0]["label"] == "lowest expected Dice"
    assert entries["volume"]["about"][1] == "one volume"
    assert entries["cine"]["about"][1] == "2 frames"
    assert re.fullmatch(r"LVEF -?\d+ % \[-?\d+, \d+\] at 90 %", entries["cine"]["about"][2])
    for findings in results["scans"]:
        assert set(findings["reasons"]) < set(entries[findings["name"]]["about"])
        frames = [findings["frames"][k] for k in findings["phases"].values()]
        dice = [f["expected_dice"].values() for f in frames or findings["frames"]]
        lowest = min(value for of_frame in dice for value in of_frame)
        [number, *_] = entries[findings["name"]]["readings"]["model"]["numbers"]
        assert number == pytest.approx(lowest, rel=1e-3)
        assert table.loc[findings["name"], "lowest_expected_Dice"] == pytest.approx(lowest)


def test_scan_is_shown_frame_by_frame_with_its_remarks(viewer: Path) -> None:
    entry = next(entry for entry in page_of(viewer)["cases"] if entry["name"] == "cine")
    shown = pictures_of(viewer, entry)
    assert (shown["frames"], shown["slices"], len(shown["images"])) == (2, 4, 8)
    assert shown["reference"] is None
    assert shown["remarks"] and all(": " in remark for remark in shown["remarks"])
    reading = shown["readings"]["model"]
    assert len(reading["of_slices"]) == len(reading["maps"]) == 8
    results = json.loads((viewer.parent / "results.json").read_text(encoding="utf-8"))
    findings = next(scan for scan in results["scans"] if scan["name"] == "cine")
    assert reading["volumes"]["phases"] == findings["phases"]
    for name in ("RV", "LV"):
        ml = [frame["ml"][name] for frame in findings["frames"]]
        assert reading["volumes"]["ml"][name] == pytest.approx(ml, rel=1e-3)
    assert {"expected Dice", "entropy (bits)", "ED volume (ml)", "EF (%)"} < set(reading["of_scan"])


def test_missed_ventricle_is_the_most_doubtful(
    make_model: Make,
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That nothing is where the model is sure of nothing does not make it a good segmentation."""
    real, missed = segment.measure, iter([False, True])

    def measured(*given: Any, **more: Any) -> FrameMeasures:
        found = real(*given, **more)
        if not next(missed):
            return found
        dice = found.expected_dice | {"RV": 0.93, "MYO": 0.9, "LV": 0.9}
        return replace(found, ml=found.ml | {"RV": 0.0}, expected_dice=dice)

    monkeypatch.setattr(segment, "measure", measured)
    scans = {name: save(f"{name}.nii.gz", volume + n) for n, name in enumerate(("good", "no RV"))}
    apply(read_model(make_model()), scans, tmp_path / "out", lambda: torch.device("cpu"))
    row = pd.read_csv(tmp_path / "out/subjects.csv").set_index("scan").loc["no RV"]
    assert row["lowest_expected_Dice"] == 0 and row["Dice_RV"] == 0.93
    entries = {entry["name"]: entry for entry in page_of(tmp_path / "out/viewer")["cases"]}
    numbers = {name: entry["readings"]["model"]["numbers"][0] for name, entry in entries.items()}
    assert numbers["good"] > numbers["no RV"] == 0


def test_of_a_cine_without_phases_the_ends_of_its_volumes_are_shown(
    make_model: Make,
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segment, "phases", lambda frames: {})  # as of other organs
    scans = {"a": save("a.nii.gz", np.stack([volume, np.roll(volume, 3, 0)], axis=-1))}
    apply(read_model(make_model()), scans, tmp_path / "out", lambda: torch.device("cpu"))
    [entry] = page_of(tmp_path / "out/viewer")["cases"]
    shown = pictures_of(tmp_path / "out/viewer", entry)["readings"]["model"]["of_scan"]
    assert not {"volume (ml)", "EF (%)"} & set(shown)
    row = pd.read_csv(tmp_path / "out/subjects.csv").loc[0]
    for end in ("smallest", "largest"):
        for name, ml in shown[f"{end} volume (ml)"].items():
            assert ml == pytest.approx(row[f"{name}_{end}_ml"], rel=1e-3)


def test_order_of_storage_makes_no_other_pictures(
    make_model: Make, volume: NDArray[np.int16], tmp_path: Path
) -> None:
    """dcm2niix stores the rows of DICOM from the bottom up; others exchange rows and columns."""
    image = nib.Nifti1Image(volume, np.diag([-1.5, -2.0, 8.0, 1.0]))
    orders = {
        "upright": [[0, 1], [1, 1], [2, 1]],
        "upside down": [[0, 1], [1, -1], [2, 1]],
        "exchanged": [[1, -1], [0, 1], [2, 1]],
    }
    scans = {name: tmp_path / f"{name}.nii.gz" for name in orders}
    for name, order in orders.items():
        nib.save(image.as_reoriented(np.array(order)), scans[name])
    apply(read_model(make_model()), scans, tmp_path / "out", lambda: torch.device("cpu"))
    entries = {entry["name"]: entry for entry in page_of(tmp_path / "out/viewer")["cases"]}
    shown = {n: pictures_of(tmp_path / "out/viewer", entry) for n, entry in entries.items()}
    upright = shown["upright"]
    assert upright["images"] == [
        grey_picture(z, *np.percentile(volume, (1, 99.5))) for z in volume.T
    ]
    for of in shown.values():
        for key in ("images", "size", "spacing", "views"):
            assert of[key] == upright[key]
        for key in ("outlines", "maps"):
            assert of["readings"]["model"][key] == upright["readings"]["model"][key]


def test_page_of_an_older_version_is_written_anew(
    viewer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, model = viewer / "index.html", read_model(viewer.parents[1] / "model")
    html = page.read_text(encoding="utf-8")
    scans = {name: viewer.parents[1] / f"scans/{name}.nii.gz" for name in ("volume", "cine")}
    page.write_text("older", encoding="utf-8")
    apply(model, scans, viewer.parent, lambda: torch.device("cpu"))
    assert page.read_text(encoding="utf-8") == "older"
    monkeypatch.setattr("cardiouq.apply.apply.PAGE_FORMAT", 0)
    apply(model, scans, viewer.parent, lambda: torch.device("cpu"))
    assert page.read_text(encoding="utf-8") == html


@needs_browser
def test_page_sorts_filters_opens_and_leafs_in_a_browser(viewer: Path) -> None:
    script = """
      const later = () => new Promise((resolve) => setTimeout(resolve, 300));
      const names = () => [...document.querySelectorAll("#list a")].map((a) => a.dataset.case);
      const at = () => ["frame", "slice"].map((id) => find(id).value);
      async function set(id, value) {
        find(id).value = value;
        find(id).dispatchEvent(new Event("input"));
        await later();
      }
      async function look() {
        await later();
        const found = { sorted: names() };
        await set("sort", page.criteria.length - 1);
        found.byEntropy = names();
        await set("filter", "2 frames");
        found.filtered = names();
        document.querySelector("#list a").click();
        await later();
        for (const key of [".", "ArrowDown"]) {
          document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
          await later();
        }
        found.at = at();
        found.printed = [1234.4, -1500, 999.7, 62.34, null].map(printed);
        found.remarks = [...document.querySelectorAll("#remarks li")].map((li) => li.textContent);
        tell(JSON.stringify(found));
      }
      look();
    """
    entries = {entry["name"]: entry for entry in page_of(viewer)["cases"]}
    numbers = {name: entry["readings"]["model"]["numbers"] for name, entry in entries.items()}
    html = (viewer / "index.html").read_text(encoding="utf-8")
    found = json.loads(unescape(run_in_page(html, script, viewer)))
    assert found["sorted"] == sorted(numbers, key=lambda name: (numbers[name][0], name))
    assert found["byEntropy"] == sorted(numbers, key=lambda name: (-numbers[name][-1], name))
    assert found["printed"] == ["1234", "-1500", "1000", "62.3", "\u2013"]
    assert found["filtered"] == ["cine"]
    assert found["at"] == ["2", str(entries["cine"]["middle"] + 2)]
    reasons = json.loads((viewer.parent / "results.json").read_text(encoding="utf-8"))["scans"]
    expected = next(each["reasons"] for each in reasons if each["name"] == "cine")
    assert found["remarks"] == [f"{what}: {where}" for what, where in expected.items()]
