"""The structures of the heart that every room speaks of, in the project's label order."""

STRUCTURES = ("RV", "MYO", "LV")
"""Foreground structures in ACDC's order: a structure's label is its index + 1, background is 0."""

N_CLASSES = len(STRUCTURES) + 1


def label_of(structure: str) -> int:
    """Label value of a structure in the project's order; raises ValueError for an unknown name."""
    return STRUCTURES.index(structure) + 1
