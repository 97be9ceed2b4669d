"""Which adapter reads which layout, and what a study may ask of it."""

from cardiouq.data.readers.labels import Values
from cardiouq.data.readers.layouts import (
    MNMS_PARTS,
    OFFICIAL_LABELS,
    TRAINING,
    DataFolder,
    find_acdc,
    find_mnms,
    find_ukbb,
)
from cardiouq.data.readers.own import (
    DESCRIPTION,
    NNUNET_PARTS,
    find_csv,
    find_nnunet,
    nnunet_labels,
)

ADAPTERS = {
    "acdc": find_acdc,
    "mnms": find_mnms,
    "ukbb": find_ukbb,
    "nnunet": find_nnunet,
    "csv": find_csv,
}
PARTS = {
    "acdc": (TRAINING, "testing"),
    "mnms": tuple(MNMS_PARTS),
    "ukbb": (TRAINING,),
    "nnunet": tuple(NNUNET_PARTS),
}
"""Layout -> its parts; those of a table of files are what the table says."""
LABELS_FILE = {"nnunet": DESCRIPTION}
"""Layout -> the file in the root that names its labels, where one does."""
PSEUDONYMOUS = ("ukbb",)
"""Layouts whose folders are named by participants: no path below the root may be written."""


def known_labels(data: DataFolder) -> Values:
    """The names that a data set gives the values of its labels; none of a table of files.

    Raises:
        CardiouqError: if its description cannot be read.
    """
    return (
        nnunet_labels(data.root)
        if data.layout == "nnunet"
        else OFFICIAL_LABELS.get(data.layout, {})
    )
