"""The structures of the heart that every room speaks of, in the project's label order."""

STRUCTURES = ("RV", "MYO", "LV")
"""Foreground structures; the label of a structure is its index + 1, background is 0 (ACDC's order)."""

N_CLASSES = len(STRUCTURES) + 1


def label_of(structure: str) -> int:
    """Label value of a structure in the project's order; raises ValueError for an unknown name."""
    return STRUCTURES.index(structure) + 1
