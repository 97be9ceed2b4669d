"""What is shown of a scan: all slices of all frames, and all that is outlined."""

from dataclasses import replace

import numpy as np
import pytest

from cardiouq.reporting.viewer.pictures import MARGIN, pictures_of
from cardiouq.structures import label_of
from tests.reporting.viewer.made_up import SHAPE, SPACING, make_scan

DICE = {"vanilla": 0.8, "ensemble": 0.9}


def test_pictures_are_of_all_slices_frame_by_frame() -> None:
    scan = make_scan("a", DICE, frames=3)
    scan.readings["vanilla"].segmentation[1] = 0  # in the second frame nothing is found
    shown = pictures_of(scan)
    assert (shown["frames"], shown["slices"]) == (3, SHAPE[0])
    reading = shown["readings"]["vanilla"]
    for series in (shown["images"], shown["reference"], reading["outlines"], reading["maps"]):
        assert len(series) == 3 * SHAPE[0]
    found = [sorted(outlines) for outlines in reading["outlines"]]
    with_heart = [["LV", "MYO"]] * 3 + [[]]
    assert found == with_heart + [[]] * SHAPE[0] + with_heart


def test_with_a_reference_all_outlines_are_in_the_pictures() -> None:
    scan = make_scan("a", DICE)
    near = pictures_of(scan)
    heights = (16 + 2) * SPACING[0] + 2 * MARGIN  # 16 pixels, the methods' lower by up to 2
    assert near["size"][0] == pytest.approx(heights / SPACING[0], abs=2)
    scan.readings["ensemble"].segmentation[0, 0, 2, 2] = label_of("RV")  # far from the heart
    far = pictures_of(scan)
    assert far["size"][0] > near["size"][0]
    # the heart is looked at first, and lies where it lay
    assert far["views"][0][2:] == near["views"][0][2:]
    path = far["readings"]["ensemble"]["outlines"][0]["RV"]
    x, y = map(int, path[1 : path.index("l")].split())
    left, top, width, height = far["views"][1]
    assert left < x / 2 * SPACING[1] < left + width
    assert top < y / 2 * SPACING[0] < top + height


def test_without_a_reference_whole_slices_are_shown_and_the_prediction_first() -> None:
    shown = pictures_of(make_scan("a", DICE, with_reference=False))
    assert shown["reference"] is None
    assert shown["size"] == SHAPE[1:]
    height, width = (size * mm for size, mm in zip(SHAPE[1:], SPACING, strict=True))
    assert shown["views"][1] == pytest.approx([(width - 100) / 2, (height - 100) / 2, 100, 100])
    assert shown["views"][0][2] < 100


def test_scan_in_which_nothing_is_found_is_shown_whole() -> None:
    scan = make_scan("a", {"vanilla": 0.0})
    scan.readings["vanilla"].segmentation[:] = 0
    shown = pictures_of(replace(scan, reference=np.zeros_like(scan.reference)))
    assert shown["size"] == SHAPE[1:]
    assert shown["reference"] == [{}] * SHAPE[0]
