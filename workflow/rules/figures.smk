"""Reporting: scores, predictions and runs to figures."""

from pathlib import PurePath

FIGURES = f"{RESULTS}/reporting/figures"
# The method whose samples are the trajectory of Figs. 1 and 2; a study may have none.
TRAJECTORY = STUDY.trajectory_method()
# Quality against cost is drawn of the first test set of each domain.
FIRST_OF_DOMAINS = {
    name: TEST_SET_LABELS[name]
    for place, name in enumerate(TEST_SETS)
    if DOMAINS[name] not in list(DOMAINS.values())[:place]
}
# Methods whose weights have a posterior of their own -> which it is.
POSTERIORS = {
    method: posterior
    for method in METHODS
    if (posterior := STUDY.variant(method).posterior())
}


rule data_page:
    input:
        cases=f"{RESULTS}/data/cases.csv",
        split=f"{RESULTS}/data/split.csv",
        checks=f"{RESULTS}/data/checks.csv",
    output:
        html=report(
            f"{RESULTS}/reporting/data.html",
            caption="../report/data_page.rst",
            category="Data",
            labels={"page": "Data sets, flags and every subject"},
        ),
    log:
        f"{RESULTS}/logs/reporting/data_page.log",
    benchmark:
        f"{RESULTS}/benchmarks/data_page/all.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("data_page", CAPTIONS / "data_page.rst"),
        title=lambda wildcards: in_report(STUDY["title"]),
        seed=STUDY["seed"],
        counts=lambda wildcards, input: count_cases(input.cases),
    script:
        "../scripts/data_page.py"


rule figure_quality_cost:
    input:
        cost=f"{TABLES}/cost.csv",
        cases=f"{RESULTS}/data/cases.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
    output:
        png=report(
            f"{FIGURES}/quality_cost.png",
            caption="../report/figure_quality_cost.rst",
            category="Figures",
            labels={"figure": "Quality against cost"},
        ),
        pdf=f"{FIGURES}/quality_cost.pdf",
    log:
        f"{RESULTS}/logs/reporting/figure_quality_cost.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_quality_cost/all.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("figure_quality_cost"),
        methods=METHOD_LABELS,
        styles=STUDY.styles,
        test_sets=FIRST_OF_DOMAINS,
        seed=STUDY["seed"],
        counts=lambda wildcards, input: count_volumes(
            input.cases, input.test_sets, FIRST_OF_DOMAINS
        ),
    script:
        "../scripts/figure_quality_cost.py"


rule figure_uncertainty_maps:
    input:
        scores=expand(f"{RESULTS}/evaluation/{{method}}/scores.csv", method=METHODS),
        predictions=expand(
            f"{RESULTS}/prediction/{{method}}/{{test_set}}",
            method=METHODS,
            test_set=TEST_SETS,
        ),
        cases=f"{RESULTS}/data/cases.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
    output:
        png=report(
            f"{FIGURES}/fig3_uncertainty_maps.png",
            caption="../report/figure_uncertainty_maps.rst",
            category="Figures",
            labels={"figure": "3 Uncertainty maps"},
        ),
        pdf=f"{FIGURES}/fig3_uncertainty_maps.pdf",
    log:
        f"{RESULTS}/logs/reporting/figure_uncertainty_maps.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_uncertainty_maps/all.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("figure_uncertainty_maps"),
        methods=METHOD_LABELS,
        test_sets=TEST_SET_LABELS,
        n_failures=3,
        seed=STUDY["seed"],
        counts=lambda wildcards, input: count_volumes(
            input.cases, input.test_sets, TEST_SET_LABELS
        ),
    script:
        "../scripts/figure_uncertainty_maps.py"


rule figure_reliability:
    input:
        calibration=expand(
            f"{RESULTS}/evaluation/{{method}}/calibration.csv", method=METHODS
        ),
        ece=f"{TABLES}/table2_ece.csv",
        cases=f"{RESULTS}/data/cases.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
    output:
        png=report(
            f"{FIGURES}/reliability.png",
            caption="../report/figure_reliability.rst",
            category="Figures",
            labels={"figure": "Reliability"},
        ),
        pdf=f"{FIGURES}/reliability.pdf",
    log:
        f"{RESULTS}/logs/reporting/figure_reliability.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_reliability/all.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("figure_reliability"),
        methods=METHOD_LABELS,
        test_sets=TEST_SET_LABELS,
        ece=STUDY["evaluation"]["ece"],
        n_shown=20,
        minimum_voxels=50,
        seed=STUDY["seed"],
        counts=lambda wildcards, input: count_volumes(
            input.cases, input.test_sets, TEST_SET_LABELS
        ),
    script:
        "../scripts/figure_reliability.py"


rule figure_training_curves:
    input:
        runs=expand(TRAINED, run=STUDY.all_run_folders().values()),
    output:
        png=report(
            f"{FIGURES}/training_curves.png",
            caption="../report/figure_training_curves.rst",
            category="Figures",
            labels={"figure": "Training curves"},
        ),
        pdf=f"{FIGURES}/training_curves.pdf",
    log:
        f"{RESULTS}/logs/reporting/figure_training_curves.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_training_curves/all.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("figure_training_curves"),
        # training/<recipe>-<key>/seed-<k>
        recipes={
            run: PurePath(folder).parent.name.rpartition("-")[0]
            for run, folder in STUDY.all_run_folders().items()
        },
        seed=STUDY["seed"],
    script:
        "../scripts/figure_training_curves.py"


if POSTERIORS:

    rule figure_posterior_sd:
        input:
            runs=[f"{STUDY.run_folders(method)[0]}/trained" for method in POSTERIORS],
        output:
            png=report(
                f"{FIGURES}/posterior_sd.png",
                caption="../report/figure_posterior_sd.rst",
                category="Figures",
                labels={"figure": "Posterior SD of the weights"},
            ),
            pdf=f"{FIGURES}/posterior_sd.pdf",
        log:
            f"{RESULTS}/logs/reporting/figure_posterior_sd.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_posterior_sd/all.tsv"
        group:
            "reporting"
        conda:
            "../../envs/environment.yaml"
        params:
            code=code_of("figure_posterior_sd"),
            posteriors=[
                {
                    "label": METHOD_LABELS[method],
                    "checkpoint": needed_checkpoints(STUDY, method)[0],
                    **posterior._asdict(),
                }
                for method, posterior in POSTERIORS.items()
            ],
            seed=STUDY["seed"],
        script:
            "../scripts/figure_posterior_sd.py"


if TRAJECTORY:

    rule figure_checkpoints:
        input:
            samples=f"{RESULTS}/prediction/{TRAJECTORY}/samples.csv",
            predictions=expand(
                f"{RESULTS}/prediction/{TRAJECTORY}/{{test_set}}", test_set=TEST_SETS
            ),
            scores=f"{RESULTS}/evaluation/{TRAJECTORY}/scores.csv",
            cases=f"{RESULTS}/data/cases.csv",
            test_sets=f"{RESULTS}/data/test_sets.csv",
        output:
            png=report(
                f"{FIGURES}/fig1_checkpoints.png",
                caption="../report/figure_checkpoints.rst",
                category="Figures",
                labels={"figure": "1 Checkpoints of the cyclical run"},
            ),
            pdf=f"{FIGURES}/fig1_checkpoints.pdf",
        log:
            f"{RESULTS}/logs/reporting/figure_checkpoints.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_checkpoints/all.tsv"
        group:
            "reporting"
        conda:
            "../../envs/environment.yaml"
        params:
            code=code_of("figure_checkpoints"),
            schedule=lambda wildcards: STUDY["recipes"][
                STUDY["methods"][TRAJECTORY]["recipe"]
            ]["schedule"],
            per_cycle=2,
            test_sets=TEST_SETS,
            label=lambda wildcards: METHOD_LABELS[TRAJECTORY],
            seed=STUDY["seed"],
            counts=lambda wildcards, input: count_volumes(
                input.cases, input.test_sets, TEST_SET_LABELS
            ),
        script:
            "../scripts/figure_checkpoints.py"

    rule figure_tsne:
        input:
            run=f"{STUDY.run_folders(TRAJECTORY)[0]}/trained",
            samples=f"{RESULTS}/prediction/{TRAJECTORY}/samples.csv",
        output:
            png=report(
                f"{FIGURES}/fig2_tsne.png",
                caption="../report/figure_tsne.rst",
                category="Figures",
                labels={"figure": "2 t-SNE of the weights"},
            ),
            pdf=f"{FIGURES}/fig2_tsne.pdf",
        log:
            f"{RESULTS}/logs/reporting/figure_tsne.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure_tsne/all.tsv"
        group:
            "reporting"
        conda:
            "../../envs/environment.yaml"
        params:
            code=code_of("figure_tsne"),
            schedule=lambda wildcards: STUDY["recipes"][
                STUDY["methods"][TRAJECTORY]["recipe"]
            ]["schedule"],
            perplexity=STUDY["reporting"]["tsne"]["perplexity"],
            label=lambda wildcards: METHOD_LABELS[TRAJECTORY],
            seed=STUDY["seed"],
        script:
            "../scripts/figure_tsne.py"


rule figure_quality_control:
    input:
        curves=f"{RESULTS}/evaluation/quality_control_curves.csv",
        cases=f"{RESULTS}/data/cases.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
    output:
        png=report(
            f"{FIGURES}/quality_control.png",
            caption="../report/figure_quality_control.rst",
            category="Figures",
            labels={"figure": "Quality control"},
        ),
        pdf=f"{FIGURES}/quality_control.pdf",
    log:
        f"{RESULTS}/logs/reporting/figure_quality_control.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_quality_control/all.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("figure_quality_control"),
        methods=METHOD_LABELS,
        styles=STUDY.styles,
        test_sets=FIRST_OF_DOMAINS,
        poor=STUDY["evaluation"]["poor"],
        seed=STUDY["seed"],
        counts=lambda wildcards, input: count_volumes(
            input.cases, input.test_sets, FIRST_OF_DOMAINS
        ),
    script:
        "../scripts/figure_quality_control.py"
