"""Variation of a method's numbers from training to training with other seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cardiouq.evaluation.statistics import compute_statistics


def tabulate_repeats(
    tables: Mapping[str, pd.DataFrame],
    methods: Sequence[str],
    repeats: Mapping[str, tuple[str, int]],
    members: Mapping[str, str],
    test_sets: Sequence[str],
    settings: Mapping[str, Any],
) -> pd.DataFrame:
    """Tabulate every number of each method and of each of its repeats.

    Args:
        tables: name (of `statistics.TABLES`) -> rows of all methods and repeats.
        methods: of the study.
        repeats: from `Study.repeats`.
        members: of each method and repeat, which runs of its recipe it draws from.
        test_sets: those to take.
        settings: the study's `evaluation` block.

    Returns:
        Rows of the fields of `statistics.Key`, with repeat (0 is the method itself), member, value
        and n_empty (cases that lack the structure in reference or prediction).

    Raises:
        CardiouqError: as of `compute_statistics`.
    """
    # the numbers themselves alone, so the seed of resamples does not matter
    unresampled = {**settings, "bootstrap": {**settings["bootstrap"], "resamples": 0}}
    statistics, _ = compute_statistics(tables, [*methods, *repeats], test_sets, unresampled, seed=0)
    rows = []
    for key, statistic in statistics.items():
        method, repeat = repeats.get(key.method, (key.method, 0))
        rows.append(
            {
                **key._replace(method=method)._asdict(),
                "repeat": repeat,
                "member": members[key.method],
                "value": statistic.values[0],
                "n_empty": statistic.n_empty,
            }
        )
    return pd.DataFrame(rows)
