"""Which values of a label are which structure."""

from typing import Any

import numpy as np
import pytest

from cardiouq.data.labels import match_labels, parse_labels, to_disk, to_project
from cardiouq.errors import CardiouqError

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
    ],
)
def test_text_says_every_value(known: Any, wanted: Any, structures: Any, text: str | None) -> None:
    found = match_labels(known, wanted, structures, "data set d")
    assert found == (text or "background=0 RV=1 MYO=2 LV=3")


@pytest.mark.parametrize(
    ("known", "wanted", "structures", "words"),
    [
        (MNMS, {}, ["lv"], "no label is called 'lv', found ['LV', 'MYO', 'RV']"),
        (MNMS, {"LV": "cavity"}, HEART, "no label is called 'cavity'"),
        (MNMS, {"scar": 4}, HEART, "names ['scar']"),
        (MNMS, {"LV": [1, 2]}, HEART, "[2] are of more than one structure"),
        ({}, {"LV": 0}, ["LV"], "expected 1 to 255"),
        ({}, {"LV": 256}, ["LV"], "expected 1 to 255"),
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
