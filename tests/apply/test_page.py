"""The page of a model's scans: what it lists, and what it shows of a scan."""

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from cardiouq.apply.apply import apply
from cardiouq.apply.model_folder import read_model
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
    text = (viewer / entry["file"]).read_text(encoding="utf-8")
    shown = json.loads(text[text.index("{") : text.rindex(");")])
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
    assert found["filtered"] == ["cine"]
    assert found["at"] == ["2", str(entries["cine"]["middle"] + 2)]
    reasons = json.loads((viewer.parent / "results.json").read_text(encoding="utf-8"))["scans"]
    expected = next(each["reasons"] for each in reasons if each["name"] == "cine")
    assert found["remarks"] == [f"{what}: {where}" for what, where in expected.items()]
