"""Heat maps made by hand, and what stands where a mask is empty."""

from typing import Any

import numpy as np
import pytest

from cardiouq.evaluation.heat_maps import (
    estimated_dice,
    heat_map,
    precision_certain,
    sensitivity_possible,
)
from cardiouq.evaluation.overlap import dice
from cardiouq.structures import FOREGROUND

HEAT = np.array([[1.0, 0.995, 0.5, 0.25, 0.0]])
NOTHING = np.zeros((1, 5), bool)


def mask(*voxels: int) -> Any:
    return np.isin(np.arange(5), voxels)[None]


def test_measures_of_a_heat_map_by_hand() -> None:
    # 2 (1 + .995 + .5) / (2.745 + 3)
    assert estimated_dice(HEAT, mask(0, 1, 2)) == pytest.approx(4.99 / 5.745)
    assert sensitivity_possible(HEAT, mask(0, 3, 4)).tolist() == [2 / 3]
    assert precision_certain(HEAT, mask(1, 2)).tolist() == [1 / 2]


@pytest.mark.parametrize("seed", range(3))
def test_estimated_dice_is_that_of_references_drawn_from_the_heat_map(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heat = rng.beta(0.3, 0.5, 5_000)
    prediction = (heat > 0.5)[None]
    drawn = rng.random((200, 5_000)) < heat
    expected = dice(np.repeat(prediction, 200, axis=0), drawn)
    assert estimated_dice(heat[None], prediction)[0] == pytest.approx(expected.mean(), abs=1e-3)


def test_a_certain_heat_map_estimates_the_true_dice() -> None:
    reference, prediction = mask(0, 1, 2), mask(1, 2, 3, 4)
    estimate = estimated_dice(reference.astype(float), prediction)
    assert estimate == pytest.approx(dice(prediction, reference))


def test_each_volume_has_its_own_number() -> None:
    heat = np.stack([HEAT, HEAT[:, ::-1]])  # two volumes of one slice, say
    masks = np.stack([mask(0, 1), mask(0, 1)])
    for measure in (estimated_dice, sensitivity_possible, precision_certain):
        alone = [measure(h[None], m[None])[0] for h, m in zip(heat, masks, strict=True)]
        assert measure(heat, masks).tolist() == alone
        assert alone[0] != alone[1]


def test_a_method_that_finds_nothing_foresees_its_failure_as_far_as_its_heat_map_does() -> None:
    assert estimated_dice(np.full((1, 5), 0.25), NOTHING).tolist() == [0.75]
    assert estimated_dice(np.zeros((1, 5)), NOTHING).tolist() == [1]


def test_where_the_reference_is_empty_nothing_is_missed_and_certainty_is_wrong() -> None:
    assert sensitivity_possible(HEAT, NOTHING).tolist() == [1]
    assert precision_certain(HEAT, NOTHING).tolist() == [0]


def test_a_heat_map_without_claims_is_right_only_if_there_is_nothing() -> None:
    unsure = np.full((1, 5), 0.9)
    assert precision_certain(unsure, mask(1)).tolist() == [0]
    assert precision_certain(unsure, NOTHING).tolist() == [1]
    assert sensitivity_possible(np.zeros((1, 5)), mask(1)).tolist() == [0]
    assert sensitivity_possible(np.zeros((1, 5)), NOTHING).tolist() == [1]


def test_what_is_possible_and_certain_is_asked_of_stored_probabilities() -> None:
    # just above and at half of the smallest float16; on both sides of what is stored above 0.99
    probability = np.array([2**-25 * 1.01, 2**-25, 0.99, 0.9899])
    stored = np.zeros((4, 1, 1, 4), np.float16)
    stored[1, 0, 0], stored[0, 0, 0] = probability, 1 - probability
    heat = heat_map(stored, "RV")
    everywhere = np.ones((1, 4), bool)
    assert (heat[0, 0] > 0).tolist() == [True, False, True, True]
    assert precision_certain(heat[0], everywhere).tolist() == [1]
    last = np.array([[False, False, False, True]])
    assert precision_certain(heat[0], last).tolist() == [0]  # not certain, the third is


def test_foreground_is_possible_wherever_one_of_its_structures_is() -> None:
    stored = np.array([1 - 1e-5, 1e-5, 0, 0], np.float16).reshape(4, 1, 1, 1)
    assert stored[0] == 1  # the background's rest is lost
    assert heat_map(stored, FOREGROUND) == heat_map(stored, "RV") > 0
    unsure = np.array([0.4, 0.3, 0.2, 0.1]).reshape(4, 1, 1, 1)
    assert heat_map(unsure, FOREGROUND) == pytest.approx(1 - unsure[0])
    rounded_up = np.array([0, 0.5, 0.25, 0.2502], np.float16).reshape(4, 1, 1, 1)
    assert heat_map(rounded_up, FOREGROUND) == 1
