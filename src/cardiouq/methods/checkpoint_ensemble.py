"""Checkpoint ensembles from cyclical training (Zhao et al., MICCAI 2022)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cardiouq.methods.base import BaseMethod, Block, Draw, Fitted, Runs, Sample, Style, TrainedRun
from cardiouq.methods.settings import setting
from cardiouq.recipes.schedule import Schedule, cyclical


@dataclass(frozen=True)
class Method(BaseMethod):
    """Checkpoints of the constant phase of the last `cycles` cycles of one run.

    With one cycle this is the paper's Ckpt. Ens. (Single), with all cycles (Multi); with one
    checkpoint of every cycle, snapshot ensembles (Huang et al., ICLR 2017).
    """

    cycles: int = setting(1, minimum=1, help="from the last backwards")
    checkpoints: int = setting(30, minimum=1, help="of each cycle")
    step: int = setting(
        2, minimum=1, help="epochs between checkpoints; **ambiguity** for (Multi): 1 or 2"
    )
    select: Literal["latest", "best"] = setting(
        "latest",
        help="the latest checkpoints of a cycle's constant phase, or of every `step`-th one there"
        " those with the lowest validation loss",
    )

    def style(self, recipe: Block) -> Style:
        """Warm colours, as trajectories have."""
        return Style("#CC79A7", "P") if self.cycles == 1 else Style("#D55E00", "X")

    def cycles_sampled(self) -> int:
        """None of a single sample, which is no trajectory."""
        return self.cycles if self.cycles * self.checkpoints > 1 else 0

    def checkpoint_epochs(self, schedule: Schedule) -> list[int]:
        """The latest checkpoints of each of the last cycles, or all that `best` may choose from."""
        return [epoch for cycle in self._candidates(schedule) for epoch in cycle]

    def network_passes(self, schedule: Schedule) -> int:
        """One for each checkpoint that is used."""
        return self.cycles * self.checkpoints

    def fits(self) -> bool:
        """Whether checkpoints are chosen by their validation loss."""
        return self.select == "best"

    def fit(self, runs: Runs, schedule: Schedule) -> Fitted:
        """The epochs that are used of each run, by member."""
        return {str(run.member): np.array(self._epochs_of(run, schedule)) for run in runs}

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """One network per checkpoint."""
        for run in runs:
            for epoch in fitted[str(run.member)].tolist():
                yield Draw([Sample(run.member, epoch)], run.network(epoch))

    def _epochs_of(self, run: TrainedRun, schedule: Schedule) -> list[int]:
        if not self.fits():
            return self.checkpoint_epochs(schedule)
        cycles = self._candidates(schedule)
        best = [sorted(cycle, key=run.validation_loss)[: self.checkpoints] for cycle in cycles]
        return [epoch for cycle in best for epoch in sorted(cycle)]

    def _candidates(self, schedule: Schedule) -> list[list[int]]:
        """Epochs of each cycle that may be used."""
        whole = cyclical(schedule)
        latest = whole.latest_epochs(self.cycles, self.checkpoints, self.step)
        if not self.fits():
            return latest
        start, end = whole.constant_phase(0)
        return whole.latest_epochs(self.cycles, len(range(start, end, self.step)), self.step)
