"""Predictions to scores; needs neither torch nor MONAI."""

SCORE_TABLES = (
    *("scores", "slice_scores", "voxels", "slice_voxels", "calibration"),
    *("sample_volumes", "subjects"),
)
"""What `scoring.score_method` returns, each a CSV file of `evaluation/<method>/`. Here, as the
workflow reads it whenever it starts, and `scoring` imports scipy and pandas."""
