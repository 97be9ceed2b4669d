"""Learning rates against Eq. 4 of Zhao et al. (MICCAI 2022), and the epochs that are sampled."""

from dataclasses import replace
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiouq.recipes.schedule import CyclicalSchedule, PolynomialSchedule, build_schedule

PAPER = CyclicalSchedule(
    1200, cycles=3, gamma=0.8, alpha_0=0.01, alpha_r=0.1, epsilon=0.9, denominator="T"
)


@pytest.mark.parametrize("epoch", [0, 400, 800])
def test_each_cycle_starts_at_the_restart_rate(epoch: int) -> None:
    assert PAPER.learning_rate(epoch) == 0.1


# 0.01 * (1 - 320 / 1200) ** 0.9 and 0.01 * (1 - 320 / 400) ** 0.9, worked out by hand
@pytest.mark.parametrize(("denominator", "expected"), [("T", "0.00756"), ("T_c", "0.00235")])
@pytest.mark.parametrize("epoch", [320, 399, 720, 799, 1120, 1199])
def test_constant_phase_has_the_rate_worked_out_by_hand(
    denominator: str, expected: str, epoch: int
) -> None:
    schedule = replace(PAPER, denominator=denominator)
    assert f"{schedule.learning_rate(epoch):.3g}" == expected


def test_rate_right_after_a_restart_is_just_below_alpha_0() -> None:
    assert isclose(PAPER.learning_rate(401), 0.01 * (1199 / 1200) ** 0.9)


@given(epoch=st.integers(1, 318), cycle=st.integers(0, 2))
def test_rate_falls_until_gamma_and_is_alike_in_every_cycle(epoch: int, cycle: int) -> None:
    start = 400 * cycle
    assert PAPER.learning_rate(start + epoch) > PAPER.learning_rate(start + epoch + 1)
    assert PAPER.learning_rate(start + epoch) == PAPER.learning_rate(epoch)


def test_polynomial_decay_starts_at_alpha_0_and_is_exact_half_way() -> None:
    schedule = PolynomialSchedule(epochs=1000, alpha_0=0.01, epsilon=0.9)
    assert schedule.learning_rate(0) == 0.01
    assert isclose(schedule.learning_rate(500), 0.01 * 2**-0.9)
    assert 0 < schedule.learning_rate(999) < 1e-4


def test_single_samples_the_paper_s_thirty_epochs() -> None:
    assert PAPER.sampling_epochs(2, count=30, step=2) == list(range(1141, 1200, 2))


def test_multi_samples_ten_epochs_at_the_end_of_each_cycle() -> None:
    epochs = PAPER.latest_epochs(cycles=3, count=10, step=1)
    assert epochs == [list(range(end - 10, end)) for end in (400, 800, 1200)]
    assert PAPER.latest_epochs(cycles=2, count=10, step=1) == epochs[1:]


def test_more_cycles_than_the_recipe_has_are_refused() -> None:
    with pytest.raises(ValueError, match="4 cycles are asked for, the recipe has 3"):
        PAPER.latest_epochs(cycles=4, count=10, step=1)


@given(
    cycle=st.integers(0, 2),
    step=st.integers(1, 8),
    count=st.integers(1, 100),
)
def test_sampled_epochs_lie_in_the_constant_phase_or_are_refused(
    cycle: int, step: int, count: int
) -> None:
    if (count - 1) * step > 79:
        with pytest.raises(ValueError, match="constant phase"):
            PAPER.sampling_epochs(cycle, count, step)
        return
    epochs = PAPER.sampling_epochs(cycle, count, step)
    assert len(epochs) == count
    assert len({PAPER.learning_rate(epoch) for epoch in epochs}) == 1
    assert epochs[-1] == 400 * (cycle + 1) - 1


def test_constant_phase_is_the_last_fifth_of_each_cycle() -> None:
    assert [PAPER.constant_phase(cycle) for cycle in range(3)] == [
        (320, 400),
        (720, 800),
        (1120, 1200),
    ]


def test_sampling_is_where_the_rate_has_stopped_falling() -> None:
    lowest = min(PAPER.learning_rate(epoch) for epoch in range(1200))
    for epoch in range(1200):
        assert PAPER.is_sampling(epoch) == (PAPER.learning_rate(epoch) == lowest)


@pytest.mark.parametrize(("epochs", "cycles", "gamma"), [(12, 3, 0.5), (30, 3, 0.7), (9, 3, 0.5)])
def test_sampling_starts_with_the_first_whole_epoch_of_the_constant_phase(
    epochs: int, cycles: int, gamma: float
) -> None:
    schedule = replace(PAPER, epochs=epochs, cycles=cycles, gamma=gamma)
    in_phase = [(e % schedule.cycle_length) >= gamma * schedule.cycle_length for e in range(epochs)]
    assert [schedule.is_sampling(epoch) for epoch in range(epochs)] == in_phase


def test_the_restart_s_epoch_is_never_sampled() -> None:
    schedule = replace(PAPER, epochs=12, cycles=3, gamma=0)
    assert [epoch for epoch in range(12) if not schedule.is_sampling(epoch)] == [0, 4, 8]
    with pytest.raises(ValueError, match="epochs 5 to 7"):
        schedule.sampling_epochs(1, 4, 1)


def test_polynomial_decay_never_samples() -> None:
    assert not any(
        PolynomialSchedule(epochs=50, alpha_0=0.01, epsilon=0.9).is_sampling(epoch)
        for epoch in range(50)
    )


def test_cycles_that_do_not_divide_the_epochs_are_refused() -> None:
    with pytest.raises(ValueError, match="divisible"):
        replace(PAPER, epochs=100)


def test_schedule_is_built_from_a_recipe_s_block() -> None:
    block = {"name": "polynomial", "epochs": 7, "alpha_0": 0.3, "epsilon": 0.5}
    assert build_schedule(block) == PolynomialSchedule(epochs=7, alpha_0=0.3, epsilon=0.5)


def test_step_falls_once() -> None:
    block = {"name": "step", "epochs": 50, "alpha_0": 1e-4, "after": 30, "factor": 0.1}
    schedule = build_schedule(block)
    rates = [schedule.learning_rate(epoch) for epoch in range(50)]
    assert rates == [1e-4] * 30 + [pytest.approx(1e-5)] * 20
    assert not any(schedule.is_sampling(epoch) for epoch in range(50))
