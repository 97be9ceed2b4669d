"""The registry of a study's tables, each an entry here.

A module of an entry's name beside this one lays it out in `make`; its caption has that name in
`workflow/report`. No module is imported here: a change of one prints no other table anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cardiouq.structures import HEART
from cardiouq.study.study import Study


@dataclass(frozen=True)
class Table:
    """An entry of the registry.

    Attributes:
        title: what the report calls the table.
        rule: what its rule does, in one sentence.
        reads: names of the evaluation's tables that `make` is given, of those that a study has.
        applies_to: whether a study has the table.
    """

    title: str
    rule: str
    reads: Sequence[str] = ("summary", "comparisons")
    applies_to: Callable[[Study], bool] = lambda study: True


def _has_findings(study: Study) -> bool:
    return bool(study["reporting"]["published"] or study.distorted_test_sets())


def _has_ventricles(study: Study) -> bool:
    return set(study.structures) >= set(HEART)


def _has_in_domain(study: Study) -> bool:
    return bool(study.in_domain)


def _has_repeats(study: Study) -> bool:
    return bool(study.repeats)


TABLES = {
    "table1_dice": Table("1 Dice", "Print Dice of whole volumes beside the paper's."),
    "table2_ece": Table("2 ECE", "Print the expected calibration error beside the paper's."),
    "verdict": Table(
        "Paper versus ours",
        "Print every number and claim of the paper, and whether ours agrees.",
        reads=["summary", "comparisons", "distortions", "quality_control", "repeats"],
        applies_to=_has_findings,
    ),
    "segmentation": Table(
        "Segmentation", "Print distances between surfaces, and what samples tell of the Dice."
    ),
    "calibration": Table("Calibration", "Print proper scores, calibration errors and uncertainty."),
    "failure_detection": Table(
        "Failure detection",
        "Print how well uncertainty finds the bad segmentations.",
        reads=["summary", "comparisons", "distorted_summary"],
    ),
    "aggregations": Table(
        "Aggregations",
        "Print how well each aggregation of the entropy finds bad segmentations, over all methods.",
        reads=["summary", "distorted_summary"],
    ),
    "shift": Table(
        "Shift detection",
        "Print how well uncertainty tells scans of another distribution from those in domain.",
        reads=["shift"],
        applies_to=_has_in_domain,
    ),
    "clinical": Table(
        "Clinical quantities",
        "Print errors and intervals of volumes, ejection fractions and mass.",
        applies_to=_has_ventricles,
    ),
    "conformal": Table(
        "Conformal intervals",
        "Print how often intervals hold the reference that are to hold it, and their width.",
        reads=["conformal"],
        applies_to=_has_in_domain,
    ),
    "comparisons": Table(
        "Comparisons",
        "Print the methods' differences, with intervals and p values.",
        reads=["comparisons"],
    ),
    "ranks": Table(
        "Ranks", "Print the rank of each method by each metric.", reads=["ranks", "comparisons"]
    ),
    "quality_control": Table(
        "Quality control",
        "Print how many slices a review needs, ranked by uncertainty.",
        reads=["quality_control", "summary"],
    ),
    "repeats_volumes": Table(
        "Repeats, whole volumes",
        "Print mean and range over trainings with other seeds, of whole volumes.",
        reads=["repeats"],
        applies_to=_has_repeats,
    ),
    "repeats": Table(
        "Repeats, slices",
        "Print mean and SD over trainings with other seeds, per slice.",
        reads=["repeats"],
        applies_to=_has_repeats,
    ),
}


def tables_of(study: Study) -> dict[str, Table]:
    """The tables that a study has, by name."""
    return {name: table for name, table in TABLES.items() if table.applies_to(study)}


def module_of(table: str) -> Path:
    """File of the module that makes a table."""
    return Path(__file__).with_name(f"{table}.py")
