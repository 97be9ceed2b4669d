"""Cross-validation ensembles: nnU-Net's, whose members saw different subjects."""

from dataclasses import dataclass
from typing import ClassVar

from cardiouq.methods.base import BaseMethod, Member, Schema, folds_of


@dataclass(frozen=True)
class Method(BaseMethod):
    """The last weights of one run per fold, each trained without the fold's subjects.

    Not a deep ensemble: its members differ in their data too, and each has seen less of it.
    """

    schema: ClassVar[Schema] = {"folds": {"type": "integer", "minimum": 2}}

    folds: int = 5

    def members(self) -> list[Member]:
        """One run per fold."""
        return folds_of(self.folds)
