"""Stochastic weight averaging (Izmailov et al., UAI 2018)."""

from collections.abc import Iterator
from dataclasses import dataclass

from cardiouq.methods.base import BaseMethod, Draw, Fitted, Runs, Sample, Style
from cardiouq.methods.settings import setting
from cardiouq.recipes.schedule import Schedule, cyclical


@dataclass(frozen=True)
class Method(BaseMethod):
    """One network with the mean of the weights sampled in the last cycle.

    No pass to refresh batch norm follows: the network's instance norm keeps no statistics.
    """

    usual_style = Style("#E69F00", "^")

    checkpoints: int = setting(30, minimum=1, help="of the last cycle")
    step: int = setting(2, minimum=1, help="epochs between checkpoints")

    def checkpoint_epochs(self, schedule: Schedule) -> list[int]:
        """The latest checkpoints of the last cycle."""
        [epochs] = cyclical(schedule).latest_epochs(1, self.checkpoints, self.step)
        return epochs

    def network_passes(self, schedule: Schedule) -> int:
        return 1

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """The averaged network, named by the last epoch that went into it."""
        epochs = self.checkpoint_epochs(schedule)
        for run in runs:
            yield Draw([Sample(run.member, epochs[-1])], run.mean_network(epochs))
