"""What no heart looks like is said, with its slices; what hearts look like is not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiouq.apply import anatomy
from cardiouq.apply.anatomy import implausible, ranges

SPACING = (10.0, 1.5, 1.5)


@pytest.fixture
def heart() -> NDArray[np.uint8]:
    """An LV in a ring of myocardium, and an RV beside it, in five slices."""
    y, x = np.ogrid[:64, :64]
    radius = np.hypot(y - 30, x - 34)
    labels = np.zeros((5, 64, 64), np.uint8)
    labels[:, radius < 14] = 2
    labels[:, radius < 9] = 3
    labels[:, (np.hypot(y - 30, x - 12) < 7)] = 1
    return labels


def test_heart_is_plausible(heart: NDArray[np.uint8]) -> None:
    assert implausible(heart, SPACING) == []


def test_open_ring(heart: NDArray[np.uint8]) -> None:
    opened = heart[1]
    opened[:30][opened[:30] == 2] = 0
    assert implausible(heart, SPACING) == [("LV not ringed by MYO", "slice 2")]


def test_parts(heart: NDArray[np.uint8]) -> None:
    heart[:, 50:56, 5:11] = 1
    assert implausible(heart, SPACING) == [("RV in several parts", "2 parts")]


def test_speck_is_no_part(heart: NDArray[np.uint8]) -> None:
    heart[0, 50, 5] = 1
    assert implausible(heart, SPACING) == []


def test_interruption_and_absence(heart: NDArray[np.uint8]) -> None:
    heart[2][heart[2] == 1] = 0
    assert ("RV interrupted", "slice 3") in implausible(heart, SPACING)
    heart[heart == 1] = 0
    assert implausible(heart, SPACING) == [("no RV", "anywhere")]


def test_jump(heart: NDArray[np.uint8]) -> None:
    heart[4] = np.roll(heart[4], 22, axis=0)
    assert ("LV jumps", "33 mm between slices 4 and 5") in implausible(heart, SPACING)


@pytest.mark.parametrize(
    ("slices", "distance", "said"),
    [(1, 10.0, "0 mm"), (4, 8.0, "24 mm"), (5, 10.0, ""), (10, 5.0, "")],
)
def test_short_stack(heart: NDArray[np.uint8], slices: int, distance: float, said: str) -> None:
    stack = np.repeat(heart[:1], slices, axis=0)
    expected = [("short stack", f"{said} from the first slice to the last")] if said else []
    assert implausible(stack, (distance, 1.5, 1.5)) == expected


def test_of_a_heart_without_rv_the_rest_is_said(
    heart: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anatomy, "STRUCTURES", ("MYO", "LV"))
    heart[4] = np.roll(heart[4], 22, axis=0)
    heart[1][:30][heart[1][:30] == 2] = 0
    found = {what for what, _ in implausible(heart, SPACING)}
    assert {"LV jumps", "LV not ringed by MYO"} < found and "no RV" not in found
    monkeypatch.setattr(anatomy, "STRUCTURES", ("RV",))
    assert implausible(heart[:1], SPACING) == []


def test_ranges_count_from_one() -> None:
    assert ranges([0]) == "slice 1"
    assert ranges([0, 1, 2, 4]) == "slices 1-3, 5"
