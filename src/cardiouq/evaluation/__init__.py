"""Scores of predictions; needs neither torch nor MONAI."""

# not in `scoring`, which imports scipy and pandas: the workflow reads this whenever it starts
SCORE_TABLES = (
    "scores",
    "slice_scores",
    "voxels",
    "slice_voxels",
    "calibration",
    "image_calibration",
    "sample_volumes",
    "subjects",
)
"""Tables that `scoring.score_method` returns, each a CSV file of `evaluation/<method>/`."""
