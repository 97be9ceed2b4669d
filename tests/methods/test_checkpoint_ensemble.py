"""Which checkpoints an ensemble has: the latest, the best, one of each cycle."""

from typing import Any

import pytest

from cardiouq.methods.checkpoint_ensemble import Method
from cardiouq.recipes.schedule import CyclicalSchedule

SCHEDULE = CyclicalSchedule(
    30, cycles=3, gamma=0.5, alpha_0=0.01, alpha_r=0.1, epsilon=0.9, denominator="T"
)
"""Constant phases: epochs 5 to 9, 15 to 19, 25 to 29."""
LOSSES = dict(enumerate([0.0] * 5 + [0.5, 0.2, 0.9, 0.1, 0.3] + [0.0] * 5 + [5, 4, 3, 2, 1.0]))
LOSSES |= dict(enumerate([0.0] * 5 + [0.3, 0.3, 0.1, 0.7, 0.8], start=20))
"""The lowest ones are not in the constant phases."""


def drawn_epochs(method: Method, make_run: Any) -> list[int]:
    run = make_run(dict.fromkeys(method.checkpoint_epochs(SCHEDULE), object), losses=LOSSES)
    draws = method.draws([run], SCHEDULE, method.fit([run], SCHEDULE))
    return [sample.epoch for draw in draws for sample in draw.samples]


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ({"cycles": 3, "checkpoints": 2, "step": 1}, [6, 8, 18, 19, 25, 27]),
        ({"cycles": 2, "checkpoints": 1, "step": 1}, [19, 27]),
        # of 5, 7, 9 and 25, 27, 29
        ({"cycles": 3, "checkpoints": 2, "step": 2}, [5, 9, 17, 19, 25, 27]),
        ({"cycles": 1, "checkpoints": 5, "step": 1}, [25, 26, 27, 28, 29]),
    ],
)
def test_best_are_those_of_the_lowest_validation_loss_in_each_cycle(
    settings: dict[str, Any], epochs: list[int], make_run: Any
) -> None:
    assert drawn_epochs(Method(**settings, select="best"), make_run) == epochs


def test_latest_look_at_no_loss(make_run: Any) -> None:
    method = Method(cycles=3, checkpoints=2, step=2)
    assert drawn_epochs(method, make_run) == [7, 9, 17, 19, 27, 29]
    assert not method.fits()
    assert Method(select="best").fits()


def test_snapshot_ensemble_has_the_end_of_every_cycle(make_run: Any) -> None:
    assert drawn_epochs(Method(cycles=3, checkpoints=1), make_run) == [9, 19, 29]


def test_each_run_has_its_own_best(make_run: Any) -> None:
    method = Method(cycles=1, checkpoints=1, step=1, select="best")
    epochs = method.checkpoint_epochs(SCHEDULE)
    runs = [
        make_run({}, member, losses={epoch: abs(epoch - best) for epoch in epochs})
        for member, best in ((0, 26), (1, 28))
    ]
    assert method.fit(runs, SCHEDULE) == {"0": [26], "1": [28]}


@pytest.mark.parametrize("select", ["latest", "best"])
def test_more_than_the_constant_phase_has_is_an_error(select: Any) -> None:
    with pytest.raises(ValueError, match="constant phase"):
        Method(checkpoints=6, step=1, select=select).checkpoint_epochs(SCHEDULE)
