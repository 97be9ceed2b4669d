"""Deep ensembles (Lakshminarayanan et al., NeurIPS 2017)."""

from dataclasses import dataclass
from typing import ClassVar

from cardiouq.methods.base import BaseMethod, Member, Schema


@dataclass(frozen=True)
class Method(BaseMethod):
    """The last weights of several runs on all training subjects, which differ in initial weights
    and order of data."""

    schema: ClassVar[Schema] = {"size": {"type": "integer", "minimum": 1}}

    size: int = 5

    def members(self) -> list[Member]:
        """One run per member of the ensemble."""
        return [Member(seed) for seed in range(self.size)]
