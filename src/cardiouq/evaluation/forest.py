"""A random forest that foretells the Dice of a segmentation from aggregations of its entropy.

So has it the benchmark of Zenk et al. (Medical Image Analysis, 2025), whose forests learn from the
training subjects. Here they learn from other subjects than those they are asked about, of the test
sets in domain: no network has seen them.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from cardiouq.evaluation.pooled import pooled
from cardiouq.seeds import derive

FEATURES = (
    "predictive_entropy_bits",
    "entropy_without_boundary_bits",
    "entropy_foreground_bits",
    "entropy_patch_bits",
    "entropy_at_boundary_percent",
    "foreground_percent",
    "components",
)
"""Columns of `voxels.csv` and `slice_voxels.csv` that a forest is given."""
TREES = 50
FOLDS = 5
"""Parts of the subjects, each foretold by a forest that has learnt from the other ones."""

Floats = NDArray[np.float64]


def foretell_dice(
    scores: pd.DataFrame, voxels: pd.DataFrame, learnt_from: Collection[str], seed: int
) -> Floats:
    """Foretell the Dice of every structure of every volume or slice of one method.

    Args:
        scores: rows of `scores.csv` (or `slice_scores.csv`) of one method.
        voxels: its rows of `voxels.csv` (`slice_voxels.csv`), with `FEATURES`.
        learnt_from: names of the test sets whose subjects the forests learn from; a subject's own
            volumes, distorted ones too, are foretold by a forest that has seen none of them.
        seed: of the folds and the trees.

    Returns:
        (rows of scores,) from 0 to 1; 1 for all that no subject is left to learn from.
    """
    # cases first: what is learnt must not hang on how the test sets are called that hold them
    keys = [column for column in ("case", "slice", "test_set") if column in voxels]
    dice = scores.pivot(index=keys, columns="structure", values="dice")
    rows = voxels.set_index(keys).loc[dice.index].reset_index()
    features = rows[list(FEATURES)].to_numpy(np.float64)
    subjects = rows["subject"].to_numpy(str)
    may_learn = pooled(rows, learnt_from)
    folds = _folds(subjects, np.unique(subjects[may_learn]), seed)
    found = np.ones(dice.shape)
    for fold in np.unique(folds):
        learnt, asked = may_learn & (folds != fold), folds == fold
        if learnt.any():
            forest = RandomForestRegressor(TREES, random_state=derive(seed, "forest", fold) % 2**32)
            forest.fit(features[learnt], dice.to_numpy()[learnt])
            found[asked] = forest.predict(features[asked]).reshape(-1, dice.shape[1])
    foretold = pd.DataFrame(found, dice.index, dice.columns).stack()
    return foretold.loc[pd.MultiIndex.from_frame(scores[[*keys, "structure"]])].to_numpy()


def _folds(
    subjects: NDArray[np.str_], learnt_from: NDArray[np.str_], seed: int
) -> NDArray[np.intp]:
    """Number of each row's fold, (rows,); -1 if nothing is learnt from its subject."""
    order = np.random.default_rng(derive(seed, "forest")).permutation(len(learnt_from))
    fold_of = dict(zip(learnt_from, order % FOLDS, strict=True))
    return np.array([fold_of.get(subject, -1) for subject in subjects])
