"""What the tiny study draws, prints and predicts."""

from cardiouq.reporting.figures.distortion_boxes import BOXED

PRINTED = (
    "table1_dice",
    "table2_ece",
    "verdict",
    "segmentation",
    "calibration",
    "failure_detection",
    "aggregations",
    "shift",
    "clinical",
    "conformal",
    "comparisons",
    "ranks",
    "cost",
    "quality_control",
    "repeats",
    "repeats_volumes",
)
TABLES = {f"{t}.{s}" for t in PRINTED for s in ("csv", "md", "tex", "html")}
MAPS = ("segmentation", "entropy", "mutual_information", "variance", "samples")
FIGURES = {
    f"{figure}.{suffix}"
    for figure in (
        "fig1_checkpoints",
        "fig2_tsne",
        "fig3_uncertainty_maps",
        "reliability",
        *(f"reliability_histogram_phantom-{part}" for part in ("val", "A")),
        "training_curves",
        "quality_cost",
        "quality_control",
        "posterior_sd",
        "dataset_shift",
        "coverage",
        "coverage_distorted",
        "structural_uncertainty",
        "distorted_examples",
        "distortion_maps",
        *(f"distortion_{metric}" for metric in BOXED),
    )
    for suffix in ("png", "pdf", "txt")
}
METHODS = {
    "vanilla": 1,
    "temperature_scaling": 1,
    "swa": 1,
    "mc_dropout": 3,
    "deep_ensemble": 2,
    "checkpoint_ensemble_single": 2,
    "checkpoint_ensemble_multi": 6,
    "temperature_fitted": 1,
    "vector_scaling": 1,
    "isotonic": 1,
    "test_time_augmentation": 2,
    "mcd_0_1": 2,
    "mcd_0_5": 2,
    "cv_ensemble": 2,
    "hmc_cp": 3,
    "bbb": 2,
    "layer_ensemble": 4,
    "calibrated_ensemble": 2,
    "ssn": 2,
    "evidential": 2,
    "swag": 2,
    "multi_swag": 3,
}
"""Samples that each method of the tiny study draws."""
TEST_SETS = ("phantom-val", "phantom-A", "phantom-B")
DISTORTED = ("phantom-val+noise-1", "phantom-val+noise-2", "phantom-val+stretch-1")
