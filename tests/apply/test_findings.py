"""Which numbers a scan has, by what its model segments and how many slices there are."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd
import pytest

from cardiouq.apply import findings
from cardiouq.apply.findings import lowest_expected_dice, quantities
from cardiouq.apply.measures import FrameMeasures
from cardiouq.evaluation.clinical import UNITS

PHASES = {"ED": 0, "ES": 1}
NOTHING_KNOWN = pd.DataFrame(columns=["quantity", "unit", "subject", "error", "spread"])


def frame(ml: dict[str, float], slices: int) -> FrameMeasures:
    """A frame whose samples are 10 % smaller and larger."""
    samples = {name: [0.9 * volume, 1.1 * volume] for name, volume in ml.items()}
    dice = dict.fromkeys(ml, 0.9)
    return FrameMeasures(ml, samples, dice, 0.1, [dice] * slices, [0.1] * slices, {}, [])


def numbers(structures: Sequence[str], slices: int = 9) -> dict[str, float]:
    """Clinical quantities of a cine whose structures halve."""
    ml = dict.fromkeys(structures, 100.0)
    frames = [frame({n: v / k for n, v in ml.items()}, slices) for k in (1, 2)]
    table = quantities(frames, PHASES, NOTHING_KNOWN)
    assert (table["quantity"].str.startswith("Dice")).sum() == 2 * len(structures)
    clinical = table[table["quantity"].isin(UNITS)].set_index("quantity")
    return {str(name): float(value) for name, value in clinical["estimate"].items()}


def test_heart_has_all() -> None:
    found = numbers(("RV", "MYO", "LV"))
    assert list(found) == list(UNITS)
    assert found["LVEF"] == 50 and found["LVM"] == 105


@pytest.mark.parametrize(
    ("name", "slices", "lowest"), [("RV", 9, 0), ("RV", 1, 0.8), ("spleen", 9, 0.8)]
)
def test_structure_of_a_heart_that_a_stack_lacks_is_the_most_doubtful(
    name: str, slices: int, lowest: float
) -> None:
    frames = [frame({name: 0.0, "LV": 100.0}, slices), frame({name: 50.0, "LV": 50.0}, slices)]
    said = [asdict(of) | {"expected_dice": {name: 0.9, "LV": 0.8}} for of in frames]
    assert lowest_expected_dice({"frames": said, "phases": PHASES}) == lowest
    assert lowest_expected_dice({"frames": said, "phases": {}}) == lowest
    assert lowest_expected_dice({"frames": said, "phases": {"ES": 1}}) == 0.8


def test_single_slice_has_no_clinical_quantities() -> None:
    assert numbers(("RV", "MYO", "LV"), slices=1) == {}
    assert numbers(("RV", "MYO", "LV"), slices=2) != {}


@pytest.mark.parametrize(
    ("structures", "expected"),
    [(("LV",), ["LVEDV", "LVESV", "LVEF"]), (("MYO", "LV"), ["LVEDV", "LVESV", "LVEF", "LVM"])],
)
def test_model_without_all_of_the_heart_has_what_its_structures_give(
    structures: tuple[str, ...], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "STRUCTURES", structures)
    assert list(numbers(structures)) == expected
