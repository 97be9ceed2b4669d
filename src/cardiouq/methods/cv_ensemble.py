"""Cross-validation ensembles: nnU-Net's, whose members saw different subjects."""

from dataclasses import dataclass

from cardiouq.methods.base import BaseMethod, Member, Style, folds_of
from cardiouq.methods.settings import setting


@dataclass(frozen=True)
class Method(BaseMethod):
    """The last weights of one run per fold, each trained without the fold's subjects.

    Not a deep ensemble: its members differ in their data too, and each has seen less of it.
    """

    usual_style = Style("#73B9FF", "d")

    folds: int = setting(5, minimum=2, help="runs that each leave a part of the subjects out")

    def members(self) -> list[Member]:
        """One run per fold."""
        return folds_of(self.folds)
