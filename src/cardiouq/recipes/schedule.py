"""Learning rate by epoch, and the epochs at which a cyclical run samples its posterior."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Schedule(ABC):
    """What training and methods ask of a schedule; epochs count from 0."""

    epochs: int

    @abstractmethod
    def learning_rate(self, epoch: int) -> float:
        """Learning rate of an epoch in [0, T)."""

    def is_sampling(self, epoch: int) -> bool:
        """Whether an epoch is in a phase of constant rate, from which the posterior is sampled."""
        return False


@dataclass(frozen=True)
class PolynomialSchedule(Schedule):
    """nnU-Net's decay: alpha_0 * (1 - t / T) ** epsilon."""

    alpha_0: float
    epsilon: float

    def learning_rate(self, epoch: int) -> float:
        return float(self.alpha_0 * (1 - epoch / self.epochs) ** self.epsilon)


@dataclass(frozen=True)
class StepSchedule(Schedule):
    """A constant rate that falls once: alpha_0, and `factor` times as much from epoch `after` on.

    Ng et al. (IEEE TBME 2022) train 50 epochs at 1e-4 and, after 30, 1e-5.
    """

    alpha_0: float
    after: int
    factor: float

    def learning_rate(self, epoch: int) -> float:
        return self.alpha_0 * (self.factor if epoch >= self.after else 1.0)


@dataclass(frozen=True)
class CyclicalSchedule(Schedule):
    """Cyclical training that restarts from a high rate and samples at a constant one.

    Eq. 4 of Zhao et al., MICCAI 2022 (doi 10.1007/978-3-031-16452-1_51), with t_c = t mod T_c and
    T_c = T / M:

        lr(t) = alpha_r                                                   if t_c = 0
                alpha_0 * (1 - min(t_c, gamma * T_c) / D) ** epsilon      otherwise

    The paper prints D = T; `denominator: T_c` is the other reading.
    """

    cycles: int
    gamma: float
    alpha_0: float
    alpha_r: float
    epsilon: float
    denominator: Literal["T", "T_c"]

    def __post_init__(self) -> None:
        if self.epochs % self.cycles:
            raise ValueError(f"{self.epochs} epochs are not divisible into {self.cycles} cycles")

    @property
    def cycle_length(self) -> int:
        """T_c, the epochs of a cycle."""
        return self.epochs // self.cycles

    def learning_rate(self, epoch: int) -> float:
        in_cycle = epoch % self.cycle_length
        if in_cycle == 0:
            return self.alpha_r
        decayed = min(in_cycle, self.gamma * self.cycle_length)
        span = self.epochs if self.denominator == "T" else self.cycle_length
        return float(self.alpha_0 * (1 - decayed / span) ** self.epsilon)

    def constant_phase(self, cycle: int) -> tuple[int, int]:
        """First epoch of a cycle's phase of constant rate, and the first after it."""
        before = max(1, math.ceil(round(self.gamma * self.cycle_length, 9)))  # the restart's
        return cycle * self.cycle_length + before, (cycle + 1) * self.cycle_length

    def is_sampling(self, epoch: int) -> bool:
        return epoch >= self.constant_phase(epoch // self.cycle_length)[0]

    def latest_epochs(self, cycles: int, count: int, step: int) -> list[list[int]]:
        """The `sampling_epochs` of each of the last cycles; a ValueError if there are fewer."""
        if cycles > self.cycles:
            raise ValueError(f"{cycles} cycles are asked for, the recipe has {self.cycles}")
        last = range(self.cycles - cycles, self.cycles)
        return [self.sampling_epochs(cycle, count, step) for cycle in last]

    def sampling_epochs(self, cycle: int, count: int, step: int) -> list[int]:
        """The latest `count` epochs of a cycle, every `step`-th, in ascending order.

        Raises:
            ValueError: if they reach back beyond the phase of constant learning rate.
        """
        start, end = self.constant_phase(cycle)
        last = end - 1
        first = last - (count - 1) * step
        if first < start:
            raise ValueError(
                f"{count} checkpoints every {step} epochs reach back to epoch {first}, but the "
                f"constant phase of cycle {cycle} has the epochs {start} to {last}"
            )
        return list(range(first, last + 1, step))


def cyclical(schedule: Schedule) -> CyclicalSchedule:
    """A schedule that has cycles to sample; raises ValueError for another."""
    if not isinstance(schedule, CyclicalSchedule):
        raise ValueError("it samples the cycles of a run, and this recipe's schedule has none")
    return schedule


SCHEDULES: dict[str, type[Schedule]] = {
    "polynomial": PolynomialSchedule,
    "step": StepSchedule,
    "cyclical": CyclicalSchedule,
}


def build_schedule(settings: Mapping[str, Any]) -> Schedule:
    """The schedule that a recipe's `schedule` block describes."""
    arguments = {key: value for key, value in settings.items() if key != "name"}
    return SCHEDULES[settings["name"]](**arguments)
