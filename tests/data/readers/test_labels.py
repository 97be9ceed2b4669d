"""Which values of a label are which structure."""

from typing import Any

import numpy as np
import pytest

from cardiouq.data.readers.labels import (
    match_labels,
    parse_labels,
    speaks_of_unknown,
    to_disk,
    to_project,
)
from cardiouq.errors import CardiouqError
from cardiouq.structures import IGNORED

MNMS = {"LV": 1, "MYO": 2, "RV": 3}
HEART = ("RV", "MYO", "LV")


@pytest.mark.parametrize(
    ("known", "wanted", "structures", "text"),
    [
        (MNMS, {}, HEART, "background=0 RV=3 MYO=2 LV=1"),
        (MNMS, {}, ["LV"], "background=0,2,3 LV=1"),
        ({"RV": 1, "MLV": 2, "LVC": 3}, {"MYO": "MLV", "LV": "LVC"}, HEART, None),
        ({"a": [1, 2], "b": 7}, {"heart": ["a", "b"]}, ["heart"], "background=0 heart=1,2,7"),
        ({}, {"scar": [3, 4], "background": 9}, ["scar"], "background=0,9 scar=3,4"),
        (MNMS, {"wall": "MYO", "background": [200]}, ["wall"], "background=0,1,3,200 wall=2"),
        (MNMS | {"ignore": 4}, {}, ["LV"], "background=0,2,3 LV=1 ignore=4"),
        (MNMS, {"ignore": 255}, ["LV"], "background=0,2,3 LV=1 ignore=255"),
        (MNMS | {"ignore": 9}, {"ignore": [7, 9]}, ["LV"], "background=0,2,3 LV=1 ignore=7,9"),
        ({"LV": 1, "void": 7}, {"ignore": "void"}, ["LV"], "background=0 LV=1 ignore=7"),
        ({"LV": 1, "a": 2, "ignore": 9}, {"ignore": "a"}, ["LV"], "background=0 LV=1 ignore=2,9"),
        ({"LV": 1, "void": 7}, {"background": "void"}, ["LV"], "background=0,7 LV=1"),
        ({"LV": 1, "rim": 255}, {"background": [255]}, ["LV"], "background=0,255 LV=1"),
        ({"LV": 255}, {}, ["LV"], "background=0 LV=255"),
        ({"heart": [1, 2], "LV": 2}, {}, ["LV"], "background=0,1 LV=2"),  # regions that overlap
    ],
)
def test_text_says_every_value(known: Any, wanted: Any, structures: Any, text: str | None) -> None:
    found = match_labels(known, wanted, structures, "data set d")
    assert found == (text or "background=0 RV=1 MYO=2 LV=3")


@pytest.mark.parametrize(
    ("known", "wanted", "structures", "words"),
    [
        (MNMS, {}, ["lv"], "no label is called 'lv', found ['LV', 'MYO', 'RV']"),
        (MNMS, {}, ["lv"], "which name or value it has, as `labels: {lv: 1}`"),
        ({}, {}, HEART, "no label is called 'RV', as the data set itself names none; say in its"),
        ({}, {"RV": 1}, HEART, "which value it has, as `labels: {RV: 1, MYO: 2, LV: 3}`"),
        ({}, {"LV": "cavity"}, ["LV"], "itself names none; expected a value in `labels`"),
        (MNMS, {"LV": "cavity"}, HEART, "no label is called 'cavity', found ['LV', 'MYO', 'RV']"),
        (MNMS, {"scar": 4}, HEART, "names ['scar']"),
        (MNMS, {"LV": [1, 2]}, HEART, "[2] are of more than one structure"),
        ({}, {"LV": 0}, ["LV"], "expected 1 to 255"),
        ({}, {"LV": 256}, ["LV"], "expected 1 to 255"),
        ({}, {"LV": 1, "ignore": 0}, ["LV"], "expected 1 to 255"),
        ({}, {"LV": 1, "ignore": [256]}, ["LV"], "expected 1 to 255"),
        ({"LV": 1, "ignore": 4}, {"background": "ignore"}, ["LV"], "[4] are 'ignore' and a class"),
        ({"LV": 1, "ignore": 4}, {"background": [4]}, ["LV"], "[4] are 'ignore' and a class"),
        ({"LV": 1, "ignore": 4}, {"LV": ["LV", "ignore"]}, ["LV"], "[4] are 'ignore' and a class"),
        ({}, {"LV": [1, 2], "ignore": 2}, ["LV"], "[2] are 'ignore' and a class"),
        ({"LV": 1}, {"ignore": "void"}, ["LV"], "no label is called 'void'"),
        ({"LV": 1, "void": 7}, {}, ["LV"], "`ignore: [void]`"),
        ({"LV": 1, "Un-labelled": [7, 8]}, {"ignore": 7}, ["LV"], "'Un-labelled' (values [8])"),
        ({"LV": 1, "rim": 255}, {}, ["LV"], "'rim' (values [255]) seems to be what nobody"),
        ({"heart": [1, 2], "LV": 2}, {}, ["heart", "LV"], "[2] are of more than one structure"),
    ],
)
def test_what_cannot_be_is_refused(known: Any, wanted: Any, structures: Any, words: str) -> None:
    with pytest.raises(CardiouqError, match=r"^data set d: ") as caught:
        match_labels(known, wanted, structures, "data set d")
    assert words in str(caught.value)


def test_values_go_to_the_project_s_order_and_back() -> None:
    text = "background=0,9 RV=3,4 MYO=2 LV=1"
    on_disk = np.array([0, 1, 2, 3, 4, 9])
    assert to_project(text)[on_disk].tolist() == [0, 3, 2, 1, 1, 0]
    assert to_disk(text)[[0, 1, 2, 3]].tolist() == [0, 3, 2, 1]
    assert parse_labels(text) == {"background": [0, 9], "RV": [3, 4], "MYO": [2], "LV": [1]}


def test_what_nobody_annotated_goes_there_and_back() -> None:
    text = "background=0 LV=3 ignore=4,255"
    assert to_project(text)[[0, 3, 4, 255]].tolist() == [0, 3, IGNORED, IGNORED]
    assert to_disk(text)[[0, 3, IGNORED]].tolist() == [0, 3, 4]


@pytest.mark.parametrize(
    "name",
    [
        "void",
        "VOID",
        "Void region",
        "void_2",
        "unlabelled",
        "Unlabeled",
        "un-labelled",
        "unknown",
        "LV unknown",
        "unannotated",
        "UNDEFINED",
        "not annotated",
        "NotAnnotated",
        "not_labeled",
        "no label",
        "don't care",
        "Don\u2019t care",
        "dontcare",
        "DontCare",
        "do_not_care",
        "Ignore",
        "ignored",
        "excluded",
        "uncertain",
    ],
)
def test_names_that_speak_of_what_nobody_annotated(name: str) -> None:
    assert speaks_of_unknown(name)


@pytest.mark.parametrize(
    "name",
    ["LV", "MYO", "background", "avoided", "scar", "node", "notch", "rest", "edema", "cared"],
)
def test_names_of_structures_do_not(name: str) -> None:
    assert not speaks_of_unknown(name)
