"""Deep ensembles (Lakshminarayanan et al., NeurIPS 2017)."""

from dataclasses import dataclass

from cardiouq.methods.base import BaseMethod, Member, Style
from cardiouq.methods.settings import setting


@dataclass(frozen=True)
class Method(BaseMethod):
    """The last weights of runs that differ in initial weights and order of data."""

    usual_style = Style("#0072B2", "D")

    size: int = setting(5, minimum=1, help="runs that differ in initial weights and order of data")

    def members(self) -> list[Member]:
        """One run per member of the ensemble."""
        return [Member(seed) for seed in range(self.size)]
