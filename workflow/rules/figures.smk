"""Reporting: scores, predictions and runs to figures."""

from pathlib import PurePath

FIRST_OF = {DOMAINS[name]: name for name in reversed(TEST_SETS)}
# For what would be crowded: the first test set of each domain.
FIRST_OF_DOMAINS = {
    name: label
    for name, label in TEST_SET_LABELS.items()
    if name == FIRST_OF[DOMAINS[name]]
}


rule figure_uncertainty_maps:
    """Draw predictions and entropy maps of every method on a success and on failures."""
    input:
        **TESTED,
        scores=scores_of("scores"),
        predictions=predictions_of(TEST_SETS),
    output:
        **figure("uncertainty_maps", "3 Uncertainty maps", "fig3_uncertainty_maps"),
    log:
        f"{RESULTS}/logs/reporting/figure_uncertainty_maps.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_uncertainty_maps/all.tsv"
    params:
        **compared(drawn("uncertainty_maps")),
        n_failures=3,
    script:
        "../scripts/figure_uncertainty_maps.py"


rule figure_reliability:
    """Draw accuracy against confidence, per method and test set."""
    input:
        **TESTED,
        calibration=scores_of("calibration"),
        ece=f"{TABLES}/table2_ece.csv",
    output:
        **figure("reliability", "Reliability"),
    log:
        f"{RESULTS}/logs/reporting/figure_reliability.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_reliability/all.tsv"
    params:
        **compared(drawn("reliability")),
        ece=STUDY["evaluation"]["ece"],
        n_shown=20,
        minimum_voxels=50,
    script:
        "../scripts/figure_reliability.py"


rule figure_reliability_histogram:
    """Draw the reliability of single images, gathered to a histogram, per method."""
    input:
        **TESTED,
        bins=scores_of("image_calibration"),
        summary=f"{EVALUATION}/summary.csv",
    output:
        **figure(
            "reliability_histogram",
            "Reliability of images: {test_set}",
            "reliability_histogram_{test_set}",
            test_set=FIRST_OF_DOMAINS,
        ),
    log:
        f"{RESULTS}/logs/reporting/figure_reliability_histogram/{{test_set}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_reliability_histogram/{{test_set}}.tsv"
    params:
        **compared(drawn("reliability_histogram"), FIRST_OF_DOMAINS),
    script:
        "../scripts/figure_reliability_histogram.py"


rule figure_quality_cost:
    """Draw the quality of each method against what it costs."""
    input:
        **TESTED,
        cost=f"{TABLES}/cost.csv",
    output:
        **figure("quality_cost", "Quality against cost"),
    log:
        f"{RESULTS}/logs/reporting/figure_quality_cost.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_quality_cost/all.tsv"
    params:
        **compared(drawn("quality_cost"), FIRST_OF_DOMAINS),
        styles=STUDY.styles,
    script:
        "../scripts/figure_quality_cost.py"


rule figure_quality_control:
    """Draw how many slices each method has to flag until few enough are left poor."""
    input:
        **TESTED,
        summary=f"{EVALUATION}/summary.csv",
        reviewed=f"{EVALUATION}/quality_control.csv",
    output:
        **figure("quality_control", "Quality control"),
    log:
        f"{RESULTS}/logs/reporting/figure_quality_control.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_quality_control/all.tsv"
    params:
        **compared(drawn("quality_control"), FIRST_OF_DOMAINS),
        of_all=TEST_SETS,
        poor=STUDY["evaluation"]["poor"],
    script:
        "../scripts/figure_quality_control.py"


if IN_DOMAIN:

    rule figure_coverage:
        """Draw what conformal intervals hold, and how wide they are, per method."""
        input:
            **TESTED,
            coverage=f"{EVALUATION}/conformal.csv",
        output:
            **figure("coverage", "Coverage of conformal intervals"),
        log:
            f"{RESULTS}/logs/reporting/figure_coverage.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_coverage/all.tsv"
        params:
            **compared(drawn("coverage")),
        script:
            "../scripts/figure_coverage.py"


rule figure_dataset_shift:
    """Draw accuracy, uncertainty and how one foretells the other on every test set."""
    input:
        **TESTED,
        summary=f"{EVALUATION}/summary.csv",
        slice_scores=scores_of("slice_scores"),
    output:
        **figure("dataset_shift", "Dataset shift"),
    log:
        f"{RESULTS}/logs/reporting/figure_dataset_shift.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_dataset_shift/all.tsv"
    params:
        **compared(drawn("dataset_shift")),
    script:
        "../scripts/figure_dataset_shift.py"


rule figure_structural_uncertainty:
    """Draw segmentations of single samples, that of their mean, and how far they differ."""
    input:
        **TESTED,
        scores=scores_of("scores"),
        slice_scores=scores_of("slice_scores"),
        predictions=predictions_of(TEST_SETS),
    output:
        **figure("structural_uncertainty", "Structural uncertainty"),
    log:
        f"{RESULTS}/logs/reporting/figure_structural_uncertainty.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_structural_uncertainty/all.tsv"
    params:
        **compared(drawn("structural_uncertainty")),
    script:
        "../scripts/figure_structural_uncertainty.py"


if STUDY.all_run_folders():

    rule figure_training_curves:
        """Draw rate, losses and Dice of every run, per epoch."""
        input:
            runs=expand(TRAINED, run=STUDY.all_run_folders().values()),
        output:
            **figure("training_curves", "Training curves"),
        log:
            f"{RESULTS}/logs/reporting/figure_training_curves.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_training_curves/all.tsv"
        params:
            code=drawn("training_curves"),
            seed=STUDY["seed"],
            # training/<recipe>-<key>/seed-<k>
            recipes={
                run: PurePath(folder).parent.name.rpartition("-")[0]
                for run, folder in STUDY.all_run_folders().items()
            },
            users={
                recipe: ", ".join(
                    METHOD_LABELS[method]
                    for method in METHODS
                    if STUDY.recipe_of(method) == recipe
                )
                for recipe in STUDY["recipes"]
            },
        script:
            "../scripts/figure_training_curves.py"


# Methods whose weights have a posterior of their own -> which it is.
POSTERIORS = {
    method: posterior
    for method in METHODS
    if (posterior := STUDY.variant(method).posterior())
}

if POSTERIORS:

    rule figure_posterior_sd:
        """Draw the SD of the posterior of each convolution's weights."""
        input:
            runs=[f"{STUDY.run_folders(method)[0]}/{MARK}" for method in POSTERIORS],
        output:
            **figure("posterior_sd", "Posterior SD of the weights"),
        log:
            f"{RESULTS}/logs/reporting/figure_posterior_sd.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_posterior_sd/all.tsv"
        params:
            code=drawn("posterior_sd"),
            seed=STUDY["seed"],
            posteriors=[
                {
                    "label": METHOD_LABELS[method],
                    "checkpoint": needed_checkpoints(STUDY, method)[0],
                    **posterior._asdict(),
                }
                for method, posterior in POSTERIORS.items()
            ],
        script:
            "../scripts/figure_posterior_sd.py"


# The method whose samples lie along one run; a study may have none.
TRAJECTORY = STUDY.trajectory_method()

if TRAJECTORY:
    SCHEDULE = STUDY["recipes"][STUDY.recipe_of(TRAJECTORY)]["schedule"]

    rule figure_checkpoints:
        """Draw what the checkpoints of one run predict, on an easy and on a hard volume."""
        input:
            **TESTED,
            samples=f"{RESULTS}/prediction/{TRAJECTORY}/samples.csv",
            predictions=predictions_of(TEST_SETS, TRAJECTORY),
            scores=f"{EVALUATION}/{TRAJECTORY}/scores.csv",
        output:
            **figure(
                "checkpoints", "1 Checkpoints of the cyclical run", "fig1_checkpoints"
            ),
        log:
            f"{RESULTS}/logs/reporting/figure_checkpoints.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_checkpoints/all.tsv"
        params:
            code=drawn("checkpoints"),
            seed=STUDY["seed"],
            counts=counted(),
            label=lambda wildcards: METHOD_LABELS[TRAJECTORY],
            schedule=SCHEDULE,
            per_cycle=2,
            test_sets=TEST_SETS,
        script:
            "../scripts/figure_checkpoints.py"

    rule figure_tsne:
        """Draw the way of the last decoder layer's weights along one run, by t-SNE."""
        input:
            run=f"{STUDY.run_folders(TRAJECTORY)[0]}/{MARK}",
            samples=f"{RESULTS}/prediction/{TRAJECTORY}/samples.csv",
        output:
            **figure("tsne", "2 t-SNE of the weights", "fig2_tsne"),
        log:
            f"{RESULTS}/logs/reporting/figure_tsne.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_tsne/all.tsv"
        params:
            code=drawn("tsne"),
            seed=STUDY["seed"],
            label=lambda wildcards: METHOD_LABELS[TRAJECTORY],
            schedule=SCHEDULE,
            perplexity=STUDY["reporting"]["tsne"]["perplexity"],
        script:
            "../scripts/figure_tsne.py"


if DISTORTED:
    DISTORTED_OF = STUDY["distortions"]["test_set"]
    KINDS = list(STUDY["distortions"]["kinds"])
    # The kind whose maps are shown: noise, as in the paper, or else the study's first.
    MAPPED_KIND = "noise" if "noise" in KINDS else KINDS[0]
    MAPPED = {
        name: settings["degree"]
        for name, settings in DISTORTED.items()
        if settings["kind"] == MAPPED_KIND
    }
    # A figure of boxes each.
    BOXED = ["dice", "assd_mm", "dice_within", "assd_within_mm"]
    BOXED += ["predictive_entropy_bits", "mutual_information_bits"]

    rule figure_distorted_examples:
        """Draw a scan at every degree of every kind of distortion."""
        input:
            cases=f"{RESULTS}/data/cases.csv",
            distorted=rules.distort.output.cases,
            scans=rules.distort.output.scans,
        output:
            **figure("distorted_examples", "Distorted scans"),
        log:
            f"{RESULTS}/logs/reporting/figure_distorted_examples.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_distorted_examples/all.tsv"
        params:
            code=drawn("distorted_examples"),
            test_sets=DISTORTED,
            seed=STUDY["seed"],
            counts=lambda wildcards, input: count_cases(input.distorted),
        script:
            "../scripts/figure_distorted_examples.py"

    rule figure_distortion_boxes:
        """Draw boxes of a metric of slices at every degree of distortion, per method."""
        input:
            distortions=f"{EVALUATION}/distortions.csv",
            distorted=rules.distort.output.cases,
        output:
            **figure(
                "distortion_boxes",
                "Distortions: {metric}",
                "distortion_{metric}",
                metric=BOXED,
            ),
        log:
            f"{RESULTS}/logs/reporting/figure_distortion_boxes/{{metric}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_distortion_boxes/{{metric}}.tsv"
        params:
            code=drawn("distortion_boxes"),
            methods=METHOD_LABELS,
            styles=STUDY.styles,
            kinds=KINDS,
            of=lambda wildcards: TEST_SET_LABELS[DISTORTED_OF],
            seed=STUDY["seed"],
            counts=lambda wildcards, input: count_cases(input.distorted),
        script:
            "../scripts/figure_distortion_boxes.py"

    rule figure_distortion_maps:
        """Draw entropy and mutual information of each method as a distortion grows."""
        input:
            predictions=predictions_of([DISTORTED_OF, *MAPPED]),
            cases=f"{RESULTS}/data/cases.csv",
            distorted=rules.distort.output.cases,
            scans=rules.distort.output.scans,
        output:
            **figure("distortion_maps", "Uncertainty under distortion"),
        log:
            f"{RESULTS}/logs/reporting/figure_distortion_maps.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_distortion_maps/all.tsv"
        params:
            code=drawn("distortion_maps"),
            methods=METHOD_LABELS,
            degrees=MAPPED,
            of=DISTORTED_OF,
            kind=MAPPED_KIND,
            seed=STUDY["seed"],
        script:
            "../scripts/figure_distortion_maps.py"


if IN_DOMAIN and DISTORTED:

    rule figure_coverage_distorted:
        """Draw how many conformal intervals still hold the reference as a distortion grows."""
        input:
            coverage=f"{EVALUATION}/conformal.csv",
            distorted=rules.distort.output.cases,
        output:
            **figure("coverage_distorted", "Coverage under distortion"),
        log:
            f"{RESULTS}/logs/reporting/figure_coverage_distorted.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_coverage_distorted/all.tsv"
        params:
            code=drawn("coverage_distorted"),
            methods=METHOD_LABELS,
            distorted=DISTORTED,
            seed=STUDY["seed"],
            counts=lambda wildcards, input: count_cases(input.distorted),
        script:
            "../scripts/figure_coverage_distorted.py"
