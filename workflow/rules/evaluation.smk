"""Evaluation: predictions to scores, one job per method; then every number of the study."""

from itertools import chain

from cardiouq.evaluation import SCORE_TABLES

EVALUATION = f"{RESULTS}/evaluation"
IN_DOMAIN = STUDY.in_domain


rule evaluate:
    """Score the predictions of one method, per case, slice and subject."""
    input:
        predictions=lambda wildcards: predictions_of(
            chain(*predicted([TEST_SETS, DISTORTED])(wildcards)), wildcards.method
        ),
        samples=f"{RESULTS}/prediction/{{method}}/samples.csv",
        cases=predicted(CASE_TABLES),
        test_sets=predicted(TEST_SET_TABLES),
        none=run_if_asked_otherwise(
            f"{EVALUATION}/{{method}}/scores.csv",
            lambda method: STUDY.asked_to_score(),
        ),
    output:
        **{table: f"{EVALUATION}/{{method}}/{table}.csv" for table in SCORE_TABLES},
    log:
        f"{RESULTS}/logs/evaluation/evaluate/{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{method}}.tsv"
    # memory and time are for batch systems
    resources:
        mem_mb=lambda wildcards, attempt: evaluation_needs(wildcards).at(attempt).mem_mb,
        runtime=lambda wildcards, attempt: evaluation_needs(wildcards)
        .at(attempt)
        .minutes,
    params:
        code=code_of("evaluate"),
        asked=STUDY.asked_to_score(),
    script:
        "../scripts/evaluate.py"


rule compare:
    """Summarise all scores with intervals, and compare and rank the methods."""
    input:
        **{table: scores_of(table) for table in SCORE_TABLES},
    output:
        summary=f"{EVALUATION}/summary.csv",
        comparisons=f"{EVALUATION}/comparisons.csv",
        ranks=f"{EVALUATION}/ranks.csv",
    log:
        f"{RESULTS}/logs/evaluation/compare.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare/all.tsv"
    params:
        code=code_of("compare"),
        methods=METHODS,
        test_sets=TEST_SETS,
        settings=STUDY["evaluation"],
        seed=STUDY["seed"],
    script:
        "../scripts/compare.py"


# Tables of all methods, by which two runs of a study are compared.
SUMMARIES = [*rules.compare.output]


if DISTORTED:

    rule summarise_distortions:
        """Summarise scores at every degree of distortion."""
        input:
            slice_scores=scores_of("slice_scores"),
            slice_voxels=scores_of("slice_voxels"),
        output:
            f"{EVALUATION}/distortions.csv",
        log:
            f"{RESULTS}/logs/evaluation/summarise_distortions.log",
        benchmark:
            f"{RESULTS}/benchmarks/summarise_distortions/all.tsv"
        params:
            code=code_of("summarise_distortions"),
            distorted=DISTORTED,
        script:
            "../scripts/summarise_distortions.py"

    rule rank_distorted:
        """Find how well uncertainty finds the bad among scans of all degrees of distortion."""
        input:
            scores=scores_of("scores"),
            slice_scores=scores_of("slice_scores"),
            voxels=scores_of("voxels"),
            slice_voxels=scores_of("slice_voxels"),
            calibration=scores_of("calibration"),
            image_calibration=scores_of("image_calibration"),
        output:
            f"{EVALUATION}/distorted_summary.csv",
        log:
            f"{RESULTS}/logs/evaluation/rank_distorted.log",
        benchmark:
            f"{RESULTS}/benchmarks/rank_distorted/all.tsv"
        params:
            code=code_of("rank_distorted"),
            methods=METHODS,
            distorted=DISTORTED,
            settings=STUDY["evaluation"],
            seed=STUDY["seed"],
        script:
            "../scripts/rank_distorted.py"

    SUMMARIES += [*rules.summarise_distortions.output, *rules.rank_distorted.output]


rule quality_control:
    """Find how many slices a review would need, ranked by uncertainty."""
    input:
        slice_scores=scores_of("slice_scores"),
    output:
        table=f"{EVALUATION}/quality_control.csv",
        curves=f"{EVALUATION}/quality_control_curves.csv",
    log:
        f"{RESULTS}/logs/evaluation/quality_control.log",
    benchmark:
        f"{RESULTS}/benchmarks/quality_control/all.tsv"
    params:
        code=code_of("quality_control"),
        methods=METHODS,
        test_sets=TEST_SETS,
        poor=STUDY["evaluation"]["poor"],
    script:
        "../scripts/quality_control.py"


SUMMARIES += rules.quality_control.output


if IN_DOMAIN:

    rule conformal:
        """Find intervals that hold the reference as often as promised, and how often they do."""
        input:
            scores=scores_of("scores"),
            subjects=scores_of("subjects"),
        output:
            coverage=f"{EVALUATION}/conformal.csv",
            intervals=f"{EVALUATION}/conformal_intervals.csv",
        log:
            f"{RESULTS}/logs/evaluation/conformal.log",
        benchmark:
            f"{RESULTS}/benchmarks/conformal/all.tsv"
        params:
            code=code_of("conformal"),
            in_domain=IN_DOMAIN,
        script:
            "../scripts/conformal.py"

    rule detect_shift:
        """Find how well each uncertainty tells test sets and distorted scans from what is in domain."""
        input:
            scores=scores_of("scores"),
            voxels=scores_of("voxels"),
            activations=expand(
                f"{RESULTS}/prediction/{{method}}/activations.csv", method=METHODS
            ),
        output:
            f"{EVALUATION}/shift.csv",
        log:
            f"{RESULTS}/logs/evaluation/detect_shift.log",
        benchmark:
            f"{RESULTS}/benchmarks/detect_shift/all.tsv"
        params:
            code=code_of("detect_shift"),
            methods=METHODS,
            in_domain=IN_DOMAIN,
            distorted=DISTORTED,
            bootstrap=STUDY["evaluation"]["bootstrap"],
            seed=STUDY["seed"],
        script:
            "../scripts/detect_shift.py"

    SUMMARIES += [*rules.conformal.output, *rules.detect_shift.output]


if STUDY.repeats:

    rule tabulate_repeats:
        """Tabulate each method's numbers, of every training with other seeds."""
        input:
            **{table: scores_of(table, PREDICTED) for table in SCORE_TABLES},
        output:
            f"{EVALUATION}/repeats.csv",
        log:
            f"{RESULTS}/logs/evaluation/tabulate_repeats.log",
        benchmark:
            f"{RESULTS}/benchmarks/tabulate_repeats/all.tsv"
        params:
            code=code_of("tabulate_repeats"),
            methods=METHODS,
            repeats=STUDY.repeats,
            members={
                name: " ".join(map(str, STUDY.method_members(name)))
                for name in PREDICTED
            },
            test_sets=TEST_SETS,
            settings=STUDY["evaluation"],
        script:
            "../scripts/tabulate_repeats.py"

    SUMMARIES += rules.tabulate_repeats.output
