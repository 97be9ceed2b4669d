"""What no heart looks like is said, with its slices; what hearts look like is not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiouq.apply.anatomy import implausible, ranges

PIXEL = (1.5, 1.5)


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
    assert implausible(heart, PIXEL) == []


def test_open_ring(heart: NDArray[np.uint8]) -> None:
    opened = heart[1]
    opened[:30][opened[:30] == 2] = 0
    assert implausible(heart, PIXEL) == [("LV not ringed by MYO", "slice 2")]


def test_parts(heart: NDArray[np.uint8]) -> None:
    heart[:, 50:56, 5:11] = 1
    assert implausible(heart, PIXEL) == [("RV in several parts", "2 parts")]


def test_speck_is_no_part(heart: NDArray[np.uint8]) -> None:
    heart[0, 50, 5] = 1
    assert implausible(heart, PIXEL) == []


def test_interruption_and_absence(heart: NDArray[np.uint8]) -> None:
    heart[2][heart[2] == 1] = 0
    assert ("RV interrupted", "slice 3") in implausible(heart, PIXEL)
    heart[heart == 1] = 0
    assert implausible(heart, PIXEL) == [("no RV", "anywhere")]


def test_jump(heart: NDArray[np.uint8]) -> None:
    heart[4] = np.roll(heart[4], 22, axis=0)
    assert ("LV jumps", "33 mm between slices 4 and 5") in implausible(heart, PIXEL)


def test_ranges_count_from_one() -> None:
    assert ranges([0]) == "slice 1"
    assert ranges([0, 1, 2, 4]) == "slices 1-3, 5"
