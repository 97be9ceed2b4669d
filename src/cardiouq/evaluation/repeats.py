"""How far a method's numbers differ from training to training: mean and SD over its repeats."""

from collections.abc import Mapping, Sequence

import pandas as pd

from cardiouq.evaluation.distortions import OF_SLICES, OF_STRUCTURES
from cardiouq.evaluation.statistics import ALL

KEYS = ["method", "test_set", "structure", "metric"]


def summarise_repeats(
    slice_scores: pd.DataFrame,
    slice_voxels: pd.DataFrame,
    repeats: Mapping[str, tuple[str, int]],
    test_sets: Sequence[str],
) -> pd.DataFrame:
    """Of each repeat the mean over slices, and of these the mean and SD over the repeats.

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
    empty = slice_scores["predicted_empty"] | slice_scores["reference_empty"]
    of_structures = slice_scores.assign(n_empty=empty)
    of_slices = slice_voxels.assign(structure=ALL, n_empty=False)
    kept = ["method", "test_set", "structure", "n_empty"]
    values = pd.concat(
        table[table["test_set"].isin(list(test_sets))].melt(
            kept, list(metrics), var_name="metric", value_name="value"
        )
        for table, metrics in ((of_structures, OF_STRUCTURES), (of_slices, OF_SLICES))
    )
    of_repeat = values.groupby(KEYS).agg(value=("value", "mean"), n_empty=("n_empty", "sum"))
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
