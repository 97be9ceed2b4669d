"""What a scan comes to: clinical quantities with their intervals, and why to look at it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.apply.anatomy import ranges
from cardiouq.apply.measures import FrameMeasures
from cardiouq.evaluation.clinical import UNITS, clinical_quantities
from cardiouq.evaluation.conformal import DICE, intervals_of_new
from cardiouq.structures import HEART, STRUCTURES

UNLIKE = "unlike the training scans"


def frames_read(frames: Sequence[FrameMeasures], found: Mapping[str, int]) -> dict[int, str]:
    """Frames that a scan is judged by -> their names: those of its phases, or else all."""
    named = {frame: phase for phase, frame in found.items()}
    several = len(frames) > 1
    return named or {k: f"frame {k + 1}" if several else "" for k in range(len(frames))}


def quantities(
    frames: Sequence[FrameMeasures], found: Mapping[str, int], calibration: pd.DataFrame
) -> pd.DataFrame:
    """The numbers of a scan with their conformal intervals.

    Args:
        frames: all of the scan's.
        found: `phases` of it.
        calibration: of the model.

    Returns:
        Rows of quantity, unit, frame (from 0, of a Dice; else -1), estimate, spread, nominal, low
        and high: one for each level that enough subjects were calibrated on, or else one without
        an interval.
    """
    units = pd.DataFrame(
        [*_clinical(frames, found), *_dice(frames, frames_read(frames, found))],
        columns=["quantity", "unit", "frame", "estimate", "spread"],
    )
    return units.merge(intervals_of_new(calibration, units), how="left", on=list(units.columns))


def _clinical(
    frames: Sequence[FrameMeasures], found: Mapping[str, int]
) -> Iterator[tuple[str, str, int, float, float]]:
    if not found or len(frames[0].slice_dice) == 1:  # a slice has no volume of a ventricle
        return
    names = [name for name in HEART if name in STRUCTURES]
    parts = [(name, phase, frames[k]) for name in names for phase, k in found.items()]
    estimates = clinical_quantities({(n, p): np.array([f.ml[n]]) for n, p, f in parts})
    drawn = clinical_quantities({(n, p): np.array(f.sample_ml[n]) for n, p, f in parts})
    for name, estimate in estimates.items():
        yield name, UNITS[name], -1, float(estimate[0]), float(drawn[name].std())


def _dice(
    frames: Sequence[FrameMeasures], read: Mapping[int, str]
) -> Iterator[tuple[str, str, int, float, float]]:
    for k in read:
        for name, expected in frames[k].expected_dice.items():
            yield f"{DICE} {name}", "", k, expected, 1 - expected


def lowest_expected_dice(findings: Mapping[str, Any]) -> float:
    """Lowest expected Dice of a scan's structures in the frames that it is judged by.

    A structure that is missed with confidence is expected to be rightly nowhere. A stack through
    the heart has all of a heart's, so there it counts 0.

    Args:
        findings: as `findings.json` has them.
    """
    frames = judged(findings)
    in_stack = HEART if len(frames[0]["slice_dice"]) > 1 else ()
    return min(
        0.0 if name in in_stack and frame["ml"][name] == 0 else float(expected)
        for frame in frames
        for name, expected in frame["expected_dice"].items()
    )


def judged(findings: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The frames of `findings.json` that a scan is judged by, as in `frames_read`."""
    frames = findings["frames"]
    return [frames[k] for k in findings["phases"].values()] or list(frames)


def end_volumes(frames: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Volumes in ml, by structure, of a scan without phases; of several frames the `smallest` and
    `largest`."""
    if len(frames) == 1:
        return {"": dict(frames[0]["ml"])}
    return {
        end: {name: of(frame["ml"][name] for frame in frames) for name in frames[0]["ml"]}
        for end, of in {"smallest": min, "largest": max}.items()
    }


def reasons(
    frames: Sequence[FrameMeasures], found: Mapping[str, int], unlike: Sequence[Sequence[str]]
) -> dict[str, str]:
    """Why somebody should look at a scan: what -> where, in words; nothing if there is no reason.

    What is unlike the training scans, structures whose slices are as uncertain as those that were
    poor in the model's study, and what no heart looks like.

    Args:
        frames: all of the scan's.
        found: `phases` of it.
        unlike: of each frame, from `Familiar.beyond`.
    """
    places: dict[str, list[str]] = defaultdict(list)
    for k, name in frames_read(frames, found).items():
        flagged = frames[k].flagged.items()
        odd = [
            (f"{structure} uncertain", ranges(slices)) for structure, slices in flagged if slices
        ]
        strange = [(UNLIKE, where) for where in unlike[k]]
        for what, where in strange + odd + frames[k].implausible:
            places[what].append(f"{name} {where}".strip())
    return {what: "; ".join(where) for what, where in places.items()}
