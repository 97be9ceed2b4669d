"""The layouts that can be read, each an entry here and a function that finds its cases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cardiouq.data.readers.found import TRAINING, DataFolder, Found
from cardiouq.data.readers.labels import Values
from cardiouq.data.readers.layouts import MNMS_PARTS, find_acdc, find_mnms, find_ukbb
from cardiouq.data.readers.own import (
    DESCRIPTION,
    NNUNET_PARTS,
    find_csv,
    find_nnunet,
    nnunet_labels,
)


@dataclass(frozen=True)
class Adapter:
    """How data sets of one layout are read, and what a study may ask of them.

    Attributes:
        find: the cases of a data set, and in words what is wrong with it.
        labels: structure -> its value on disk, or what reads that off the root.
        labels_file: the file in the root that `labels` reads; "" where the layout fixes them.
        parts: of the data set, as its challenge divides it; None: as its own table does.
        is_pseudonymous: whether its folders are named by participants, so that no path below the
            root may be written.
        is_own: whether it is for scans of one's own, and no data set's official layout.
    """

    find: Callable[[DataFolder], Found]
    labels: Values | Callable[[Path], Values] = field(default_factory=dict)
    labels_file: str = ""
    parts: Sequence[str] | None = (TRAINING,)
    is_pseudonymous: bool = False
    is_own: bool = False

    def known_labels(self, root: Path) -> Values:
        """The names that a data set gives the values of its labels; none of a table of files.

        Raises:
            CardiouqError: if the file that says them cannot be read.
        """
        return self.labels(root) if callable(self.labels) else self.labels


ADAPTERS = {
    "acdc": Adapter(find_acdc, {"RV": 1, "MYO": 2, "LV": 3}, parts=(TRAINING, "testing")),
    "mnms": Adapter(find_mnms, {"LV": 1, "MYO": 2, "RV": 3}, parts=tuple(MNMS_PARTS)),
    "ukbb": Adapter(find_ukbb, {"LV": 1, "MYO": 2, "RV": 3}, is_pseudonymous=True),
    "nnunet": Adapter(find_nnunet, nnunet_labels, DESCRIPTION, tuple(NNUNET_PARTS), is_own=True),
    "csv": Adapter(find_csv, parts=None, is_own=True),
}
"""Layout -> its adapter."""
