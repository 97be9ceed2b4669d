"""The viewer in a browser: opened by a link, leafed through by keys, sorted and filtered."""

import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from cardiouq.reporting.viewer.page import write_viewer
from tests.browser import needs_browser, open_in_browser
from tests.reporting.viewer.made_up import CRITERIA, METHODS, SHAPE, make_scan

HELPERS = """
<pre id="told"></pre>
<script>
const settled = () => new Promise((resolve) => setTimeout(resolve, 300));
async function press(key) {
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  await settled();
}
async function set(id, value) {
  find(id).value = value;
  for (const kind of ["input", "change"]) find(id).dispatchEvent(new Event(kind));
  await settled();
}
const all = (selector, attribute) =>
  [...document.querySelectorAll(selector)].map((element) => element.getAttribute(attribute));
const paths = (kind) => all(`#picture path.${kind}`, "d");
const images = (id) => all(`#${id} image`, "href");
const list = () => all("#list a", "data-case");
const address = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const output = () => document.querySelector("output[for=slice]").textContent;
const told = [];
async function look() {
  await settled();
  // SCRIPT
  find("told").textContent = JSON.stringify(told);
}
look();
</script>
</body>
"""
LINK = '<!DOCTYPE html><script>location.replace("cases/index.html#{place}")</script>'
pytestmark = needs_browser


@pytest.fixture
def viewer(tmp_path: Path) -> Path:
    """Three scans: by Vanilla b is the worst, by the ensemble a is; c is a cine that nobody
    segmented."""
    scans = [
        make_scan("a & b", {"vanilla": 0.8, "ensemble": 0.5}),
        make_scan("b", {"vanilla": 0.6, "ensemble": 0.9}),
        make_scan("c", {"vanilla": 0.9, "ensemble": 0.7}, frames=3, with_reference=False),
    ]
    write_viewer(tmp_path / "cases", scans, METHODS, CRITERIA, "Cases", "Caption.")
    return tmp_path


def told(viewer: Path, place: str, script: str) -> list[Any]:
    """What a script pushes to `told` once a link to a place was followed."""
    page = viewer / "cases" / "index.html"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("</body>", HELPERS.replace("// SCRIPT", script)), encoding="utf-8")
    (viewer / "link.html").write_text(LINK.format(place=place), encoding="utf-8")
    document = open_in_browser(viewer / "link.html", viewer / "profile")
    return list(json.loads(unescape(document.split('<pre id="told">')[1].split("</pre>")[0])))


def pictures(viewer: Path, number: int) -> dict[str, Any]:
    text = (viewer / f"cases/case-{number:04}.js").read_text(encoding="utf-8")
    return dict(json.loads(text[text.index("{") : text.rindex("}") + 1]))


def test_link_opens_case_method_and_slice(viewer: Path) -> None:
    script = """
      told.push(find("title").textContent, find("method").value, output());
      told.push(document.querySelector("#list a[aria-current]").dataset.case);
      told.push(images("picture"), images("doubt"), paths("predicted"), paths("reference"));
      told.push(document.querySelector("tbody").innerText.split(/\\s+/));
      told.push(find("picture").getAttribute("aria-label"));
    """
    title, method, slice_, current, image, doubt, predicted, reference, numbers, label = told(
        viewer, "case=a+%26+b&method=ensemble&slice=2", script
    )
    assert (title, method, slice_) == ("a & b, ED, Test set", "ensemble", f"2 / {SHAPE[0]}")
    assert current == "a & b"
    shown = pictures(viewer, 0)
    reading = shown["readings"]["ensemble"]
    assert image == [shown["images"][1]]
    assert doubt == [shown["images"][1], reading["maps"][1]]
    assert predicted == list(reading["outlines"][1].values())
    assert reference == list(shown["reference"][1].values())
    assert numbers == ["LV", "0.500", "0.100", "mean", "0.500", "\u2013", "0.400", "0.00"]
    assert label == "a & b, ED, Test set, slice 2 of 4, contours of Deep <Ens.>"


def test_link_to_what_is_not_there_opens_what_is_nearest(viewer: Path) -> None:
    script = 'told.push(find("title").textContent[0], find("method").value, output());'
    assert told(viewer, "case=nobody&method=toString&slice=99", script) == ["b", "vanilla", "4 / 4"]


def test_worst_case_comes_first_and_keys_leaf_through(viewer: Path) -> None:
    script = """
      const seen = () => told.push([find("title").textContent[0], find("method").value, output()]);
      seen();
      for (const key of ["Down", "Down", "Up", "Right", "m", "Up", "Left", "Left"]) {
        await press(key === "m" ? key : `Arrow${key}`);
        seen();
      }
    """
    assert told(viewer, "", script) == [
        ["b", "vanilla", "2 / 4"],  # the middle of the three with a label
        ["b", "vanilla", "3 / 4"],
        ["b", "vanilla", "4 / 4"],
        ["b", "vanilla", "3 / 4"],
        ["a", "vanilla", "2 / 4"],
        ["a", "ensemble", "2 / 4"],  # by which it is the worst
        ["a", "ensemble", "1 / 4"],
        ["a", "ensemble", "1 / 4"],  # there is none before it
        ["a", "ensemble", "1 / 4"],
    ]


def test_list_is_sorted_and_filtered_with_the_method_s_numbers(viewer: Path) -> None:
    script = """
      told.push(list());
      await set("method", "ensemble");
      told.push(list(), document.querySelector("#list a").innerText.includes("Dice 0.500"));
      await set("sort", "1");
      told.push(list());
      await set("filter", "TEST b");
      told.push(list());
      await set("filter", "nothing");
      await press("ArrowRight");
      told.push(list(), find("title").textContent[0]);
    """
    assert told(viewer, "case=c", script) == [
        ["b", "a & b", "c"],
        ["a & b", "c", "b"],
        True,
        ["a & b", "b", "c"],  # all of one entropy
        ["a & b", "b"],
        [],
        "c",
    ]


def test_contours_can_be_hidden_and_the_whole_picture_shown(viewer: Path) -> None:
    script = """
      const view = () => find("picture").getAttribute("viewBox").split(" ").map(Number);
      told.push(paths("predicted").length, view());
      await press("c");
      await press("a");
      told.push(paths("predicted").length, view(), find("contours").checked);
    """
    before, heart, after, whole, ticked = told(viewer, "case=b", script)
    assert (before, after, ticked) == (2, 0, False)
    shown = pictures(viewer, 1)
    assert [heart, whole] == [pytest.approx(view, rel=1e-3) for view in shown["views"]]


def test_wheel_and_slider_leaf_through_slices(viewer: Path) -> None:
    script = """
      for (const deltaY of [15, 15, 15, -100]) {
        const options = { deltaY, bubbles: true, cancelable: true };
        find("picture").dispatchEvent(new WheelEvent("wheel", options));
        await settled();
        told.push(output());
      }
      await set("slice", "4");
      told.push(output(), address().slice);
    """
    assert told(viewer, "case=b&slice=2", script) == [
        "2 / 4",
        "2 / 4",
        "3 / 4",
        "2 / 4",
        "4 / 4",
        "4",
    ]


def test_cine_without_a_reference_has_frames_and_no_reference(viewer: Path) -> None:
    script = """
      const hidden = () => [find("frame").offsetParent === null, find("with-reference").hidden];
      told.push(...hidden(), paths("reference").length);
      await press(".");
      told.push(address().frame, images("picture"));
      await press("ArrowLeft");
      told.push(...hidden());
    """
    found = told(viewer, "case=c&slice=3", script)
    assert found[:4] == [False, True, 0, "2"]
    assert found[4] == [pictures(viewer, 2)["images"][SHAPE[0] + 2]]
    assert found[5:] == [True, False]


def test_missing_file_of_a_case_is_said(viewer: Path) -> None:
    (viewer / "cases/case-0001.js").unlink()
    script = 'told.push(find("problem").hidden, find("problem").textContent);'
    hidden, text = told(viewer, "case=b", script)
    assert not hidden
    assert "case-0001.js is missing" in text


LEAFED = """
  const seen = (id) => getComputedStyle(find(id)).visibility === "visible";
  const problem = () => find("problem").hidden ? "" : find("problem").textContent;
  const look = () => told.push([find("title").textContent[0], seen("picture"), seen("doubt"),
    document.querySelector("table").innerText !== "", problem()]);
  look();
  await press("ArrowRight");
  look();
  await press("ArrowLeft");
  look();
"""
"""The worst case, the next and the worst again: whether anything is seen of it, and the problem."""


def test_case_without_a_file_shows_nothing_of_the_last_one(viewer: Path) -> None:
    (viewer / "cases/case-0000.js").unlink()
    before, missing, after = told(viewer, "", LEAFED)
    assert before == after == ["b", True, True, True, ""]
    assert missing[:4] == ["a", False, False, False]
    assert "case-0000.js is missing" in missing[4]


def test_file_that_was_written_anew_shows_no_other_case(viewer: Path) -> None:
    """A scan came to those of an open page, and all numbers of files moved up by one."""
    opened = (viewer / "cases/index.html").read_text(encoding="utf-8")
    names = {"_": 0.1, "a & b": 0.8, "b": 0.6, "c": 0.9}
    scans = [make_scan(name, {"vanilla": v, "ensemble": v}) for name, v in names.items()]
    write_viewer(viewer / "cases", scans, METHODS, CRITERIA, "Cases", "Caption.")
    (viewer / "cases/index.html").write_text(opened, encoding="utf-8")
    for case, *seen, problem in told(viewer, "", LEAFED):
        assert case in {"a", "b"}
        assert seen == [False, False, False]
        assert "written anew" in problem and "reload" in problem


def test_contours_outside_the_picture_are_said(tmp_path: Path) -> None:
    scan = make_scan("a", {"vanilla": 0.8, "ensemble": 0.9})
    scan.readings["ensemble"].segmentation[0, 1, 1, 1] = 1
    write_viewer(tmp_path / "cases", [scan], METHODS, CRITERIA, "Cases", "")
    script = """
      for (const key of ["m", "a"]) {
        told.push(find("outside").textContent);
        await press(key);
      }
      told.push(find("outside").textContent);
    """
    before, outside, whole = told(tmp_path, "case=a&slice=2", script)
    assert before == whole == ""
    assert "beyond the picture" in outside


def test_curve_of_a_cine_has_its_phases_and_opens_frames(viewer: Path) -> None:
    script = """
      const here = () => find("volumes-here").textContent;
      const curve = () => [...all("#curve .volume", "d"), ...all("#curve .now", "d"), here()];
      told.push(find("volumes").hidden);
      told.push([...find("curve").querySelectorAll("text")].map((each) => each.textContent));
      told.push(all("#curve .phase", "d"), ...curve());
      const box = find("curve").getBoundingClientRect();
      const right = { clientX: box.right - 1, clientY: box.top + 5 };
      find("curve").dispatchEvent(new MouseEvent("click", right));
      await settled();
      told.push(address().frame, ...curve());
      await press("m");
      told.push(here());
      go({ case: "b" });
      await settled();
      told.push(find("volumes").hidden);
    """
    hidden, texts, phases, line, now, here, frame, same, last, there, doubled, gone = told(
        viewer, "case=c&frame=1", script
    )
    assert (hidden, gone) == (False, True)
    assert texts == ["0", "100 ml", "ED", "ES"]
    assert (now, here) == (phases[0], "LV 100 ml")
    assert (frame, last, there) == ("3", phases[1], "LV 60.0 ml")
    assert doubled == "LV 20.0 ml"
    heights = [float(point.split()[1]) for point in line[1:].split("L")]
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0]) and line == same
    assert heights[0] < heights[1]  # the largest volume stands highest
