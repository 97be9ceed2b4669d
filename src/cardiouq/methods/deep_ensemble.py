"""Deep ensembles (Lakshminarayanan et al., NeurIPS 2017)."""

from dataclasses import dataclass
from typing import ClassVar

from cardiouq.methods.base import BaseMethod, Schema


@dataclass(frozen=True)
class Method(BaseMethod):
    """The last weights of several runs that differ in initial weights and order of data."""

    schema: ClassVar[Schema] = {"size": {"type": "integer", "minimum": 1}}

    size: int = 5

    def members(self) -> range:
        """One run per member of the ensemble."""
        return range(self.size)
