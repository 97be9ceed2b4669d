"""Variation of a method's numbers from training to training: mean and SD over its repeats."""

from collections.abc import Mapping, Sequence

import pandas as pd

from cardiouq.evaluation.distortions import slice_values

KEYS = ["method", "test_set", "structure", "metric"]


def summarise_repeats(
    slice_scores: pd.DataFrame,
    slice_voxels: pd.DataFrame,
    repeats: Mapping[str, tuple[str, int]],
    test_sets: Sequence[str],
) -> pd.DataFrame:
    """Mean over slices of each repeat, and their mean and SD over the repeats.

    Ng et al. (IEEE TBME 2022) train everything but deep ensembles five times.

    Args:
        slice_scores, slice_voxels: rows of all methods and repeats.
        repeats: from `Study.repeats`.
        test_sets: those to summarise.

    Returns:
        Rows of `KEYS` with level (slice), n_repeats, value (the mean), sd (n - 1; NaN of a single
        one) and n_empty (slices that lack the structure in reference or prediction, all repeats
        together).
    """
    values = slice_values(slice_scores, slice_voxels)
    values = values[values["test_set"].isin(list(test_sets))]
    of_repeat = values.groupby(KEYS).agg(value=("value", "mean"), n_empty=("empty", "sum"))
    of_repeat = of_repeat.reset_index()
    repeated = {name: method for name, (method, _) in repeats.items()}
    of_repeat["method"] = of_repeat["method"].replace(repeated)
    over_repeats = of_repeat.groupby(KEYS).agg(
        n_repeats=("value", "size"),
        sd=("value", "std"),
        value=("value", "mean"),
        n_empty=("n_empty", "sum"),
    )
    return over_repeats.reset_index().assign(level="slice")
