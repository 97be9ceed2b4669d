"""Reporting: what distortions and other data sets do to accuracy and uncertainty."""

# A figure of boxes each.
BOXED = ["dice", "assd_mm", "dice_within", "assd_within_mm"]
BOXED += ["predictive_entropy_bits", "mutual_information_bits"]


rule figure_dataset_shift:
    input:
        summary=f"{RESULTS}/evaluation/summary.csv",
        cases=f"{RESULTS}/data/cases.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
    output:
        png=report(
            f"{FIGURES}/dataset_shift.png",
            caption="../report/figure_dataset_shift.rst",
            category="Figures",
            labels={"figure": "Dataset shift"},
        ),
        pdf=f"{FIGURES}/dataset_shift.pdf",
    log:
        f"{RESULTS}/logs/reporting/figure_dataset_shift.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_dataset_shift/all.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("figure_dataset_shift"),
        methods=METHOD_LABELS,
        styles=STUDY.styles,
        test_sets=TEST_SET_LABELS,
        seed=STUDY["seed"],
        counts=lambda wildcards, input: count_volumes(
            input.cases, input.test_sets, TEST_SET_LABELS
        ),
    script:
        "../scripts/figure_dataset_shift.py"


rule figure_structural_uncertainty:
    input:
        scores=expand(f"{RESULTS}/evaluation/{{method}}/scores.csv", method=METHODS),
        slice_scores=expand(
            f"{RESULTS}/evaluation/{{method}}/slice_scores.csv", method=METHODS
        ),
        predictions=expand(
            f"{RESULTS}/prediction/{{method}}/{{test_set}}",
            method=METHODS,
            test_set=TEST_SETS,
        ),
        cases=f"{RESULTS}/data/cases.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
    output:
        png=report(
            f"{FIGURES}/structural_uncertainty.png",
            caption="../report/figure_structural_uncertainty.rst",
            category="Figures",
            labels={"figure": "Structural uncertainty"},
        ),
        pdf=f"{FIGURES}/structural_uncertainty.pdf",
    log:
        f"{RESULTS}/logs/reporting/figure_structural_uncertainty.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_structural_uncertainty/all.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("figure_structural_uncertainty"),
        methods=METHOD_LABELS,
        test_sets=TEST_SET_LABELS,
        seed=STUDY["seed"],
        counts=lambda wildcards, input: count_volumes(
            input.cases, input.test_sets, TEST_SET_LABELS
        ),
    script:
        "../scripts/figure_structural_uncertainty.py"


if DISTORTED:
    DISTORTED_OF = STUDY["distortions"]["test_set"]
    # The kind whose maps are shown: noise, as in the paper, or else the study's first.
    KINDS = list(STUDY["distortions"]["kinds"])
    MAPPED_KIND = "noise" if "noise" in KINDS else KINDS[0]
    MAPPED = {
        name: settings["degree"]
        for name, settings in DISTORTED.items()
        if settings["kind"] == MAPPED_KIND
    }

    rule figure_distorted_examples:
        input:
            cases=f"{RESULTS}/data/cases.csv",
            distorted=rules.distort.output.cases,
            scans=rules.distort.output.scans,
        output:
            png=report(
                f"{FIGURES}/distorted_examples.png",
                caption="../report/figure_distorted_examples.rst",
                category="Figures",
                labels={"figure": "Distorted scans"},
            ),
            pdf=f"{FIGURES}/distorted_examples.pdf",
        log:
            f"{RESULTS}/logs/reporting/figure_distorted_examples.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_distorted_examples/all.tsv"
        group:
            "reporting"
        conda:
            "../../envs/environment.yaml"
        params:
            code=code_of("figure_distorted_examples"),
            test_sets=DISTORTED,
            seed=STUDY["seed"],
            counts=lambda wildcards, input: count_cases(input.distorted),
        script:
            "../scripts/figure_distorted_examples.py"

    rule figure_distortion_boxes:
        input:
            distortions=f"{RESULTS}/evaluation/distortions.csv",
            distorted=rules.distort.output.cases,
        output:
            png=report(
                f"{FIGURES}/distortion_{{metric}}.png",
                caption="../report/figure_distortion_boxes.rst",
                category="Figures",
                labels={"figure": "Distortions: {metric}"},
            ),
            pdf=f"{FIGURES}/distortion_{{metric}}.pdf",
        log:
            f"{RESULTS}/logs/reporting/figure_distortion_boxes/{{metric}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_distortion_boxes/{{metric}}.tsv"
        group:
            "reporting"
        conda:
            "../../envs/environment.yaml"
        params:
            code=code_of("figure_distortion_boxes"),
            methods=METHOD_LABELS,
            styles=STUDY.styles,
            kinds=KINDS,
            of=lambda wildcards: TEST_SET_LABELS[DISTORTED_OF],
            seed=STUDY["seed"],
            counts=lambda wildcards, input: count_cases(input.distorted),
        script:
            "../scripts/figure_distortion_boxes.py"

    rule figure_distortion_maps:
        input:
            predictions=expand(
                f"{RESULTS}/prediction/{{method}}/{{test_set}}",
                method=METHODS,
                test_set=[DISTORTED_OF, *MAPPED],
            ),
            cases=f"{RESULTS}/data/cases.csv",
            distorted=rules.distort.output.cases,
            scans=rules.distort.output.scans,
        output:
            png=report(
                f"{FIGURES}/distortion_maps.png",
                caption="../report/figure_distortion_maps.rst",
                category="Figures",
                labels={"figure": "Uncertainty under distortion"},
            ),
            pdf=f"{FIGURES}/distortion_maps.pdf",
        log:
            f"{RESULTS}/logs/reporting/figure_distortion_maps.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_distortion_maps/all.tsv"
        group:
            "reporting"
        conda:
            "../../envs/environment.yaml"
        params:
            code=code_of("figure_distortion_maps"),
            methods=METHOD_LABELS,
            places=MAPPED,
            of=DISTORTED_OF,
            kind=MAPPED_KIND,
            seed=STUDY["seed"],
            counts=lambda wildcards, input: count_cases(input.distorted),
        script:
            "../scripts/figure_distortion_maps.py"
