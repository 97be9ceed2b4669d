"""ED and ES are found although volumes scatter, and although a frame fails."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from cardiouq.apply import phases as module
from cardiouq.apply.measures import FrameMeasures
from cardiouq.apply.phases import FEWEST_FRAMES, phases

Floats = NDArray[np.float64]
EDV, ESV, EF = 150.0, 60.0, 60.0
SCATTER_ML = 4.0
TIMES = [0, 0.05, 0.15, 0.25, 0.33, 0.38, 0.48, 0.58, 0.7, 0.85, 0.95, 1]
FILLED = [1, 0.98, 0.65, 0.25, 0.03, 0, 0.25, 0.6, 0.75, 0.8, 0.95, 1]
"""Share of the stroke volume in the LV at shares of a beat: ejection in a third of it, then filling
at once, slowly, and by the atrium."""


def cine(volumes: Floats) -> list[FrameMeasures]:
    """Frames with an LV of these volumes."""
    return [FrameMeasures({"LV": v}, {}, {}, 0.0, [], [], {}, []) for v in volumes.tolist()]


def beat(n: int, begin: float = 0.0) -> Floats:
    """The LV in n frames of a beat, in ml."""
    times = (np.arange(n) / n + begin) % 1
    return np.asarray(ESV + (EDV - ESV) * PchipInterpolator(TIMES, FILLED)(times))


def errors_of_ef(n: int, scatter: float, failing: bool, plain: bool = False) -> Floats:
    """Errors in percentage points of beats that begin anywhere, with the frames so found.

    Args:
        n: frames.
        scatter: SD of a volume in ml.
        failing: whether the LV is missed in one frame.
        plain: whether the largest and the smallest volume are taken instead.
    """
    rng = np.random.default_rng(n)
    found = []
    for _ in range(500):
        true = beat(n, rng.uniform())
        volumes = true + rng.normal(0, scatter, n)
        if failing:
            volumes[rng.integers(n)] = 0
        at = phases(cine(volumes))
        ends = (volumes.max(), volumes.min()) if plain else (volumes[at["ED"]], volumes[at["ES"]])
        found.append(100 * (true.min() / true.max() - ends[1] / ends[0]))
    return np.array(found)


@pytest.mark.parametrize(("n", "most"), [(12, 1.0), (20, 0.5), (30, 0.5)])
def test_scatter_leaves_the_ejection_fraction_without_bias(n: int, most: float) -> None:
    errors = errors_of_ef(n, SCATTER_ML, failing=False)
    assert abs(errors.mean()) < most
    assert errors.std() < 3.7


def test_largest_and_smallest_volume_overstate_the_ejection_fraction() -> None:
    """What docs/apply.md says of it."""
    biases = [errors_of_ef(n, SCATTER_ML, failing=False, plain=True).mean() for n in (12, 20, 30)]
    assert biases == pytest.approx([0.8, 1.4, 2.2], abs=0.3)
    assert errors_of_ef(30, SCATTER_ML, failing=True, plain=True).mean() == pytest.approx(40, abs=1)


@pytest.mark.parametrize("n", [12, 20, 30])
def test_missed_frame_is_neither(n: int) -> None:
    for frame in range(n):
        for wrong in (0.0, 400.0):
            volumes = beat(n)
            volumes[frame] = wrong
            assert frame not in phases(cine(volumes)).values()
    errors = errors_of_ef(n, SCATTER_ML, failing=True)
    assert abs(errors.mean()) < 3 and np.abs(errors).max() < 25


def test_frames_of_a_smooth_beat_are_its_ends() -> None:
    volumes = beat(30)
    found = phases(cine(volumes))
    assert volumes[found["ED"]] > EDV - 1 and volumes[found["ES"]] < ESV + 1


@pytest.mark.parametrize("volumes", [[60.0, 150], [150.0, 60], [90.0, 150, 20, 60]])
def test_few_frames_are_taken_as_they_are(volumes: list[float]) -> None:
    assert len(volumes) < FEWEST_FRAMES
    expected = {"ED": int(np.argmax(volumes)), "ES": int(np.argmin(volumes))}
    assert phases(cine(np.array(volumes))) == expected


def test_lv_that_is_missed_everywhere_has_phases_all_the_same() -> None:
    assert phases(cine(np.zeros(20))) == {"ED": 0, "ES": 0}


def test_single_volume_and_other_organs_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert phases(cine(np.array([90.0]))) == {}
    monkeypatch.setattr(module, "STRUCTURES", ("MYO", "LV"))
    assert phases(cine(np.array([90.0, 60]))) == {"ED": 0, "ES": 1}
    monkeypatch.setattr(module, "STRUCTURES", ("liver",))
    assert phases(cine(np.array([90.0, 60]))) == {}
