"""Reporting: scores to tables and figures, the paper's numbers beside ours."""

from pathlib import PurePath

from cardiouq.reporting.captions import count_volumes

TABLES = f"{RESULTS}/reporting/tables"
FIGURES = f"{RESULTS}/reporting/figures"
# Snakemake does not see what a script imports: a changed figure is to be drawn again.
CODE = f"{workflow.basedir}/src/cardiouq/reporting/{{module}}.py"
METHOD_LABELS = {method: STUDY["methods"][method]["label"] for method in METHODS}
TEST_SET_LABELS = {name: STUDY["test_sets"][name]["label"] for name in TEST_SETS}
PAPER = STUDY["reporting"]["published"]
PAPER_TEST_SETS = {
    name: STUDY["test_sets"][name]["published"]
    for name in TEST_SETS
    if STUDY["test_sets"][name].get("published")
}
# The method whose samples are the trajectory of Figs. 1 and 2; a study may have none.
TRAJECTORY = STUDY.trajectory_method()


rule table_dice:
    input:
        scores=expand(f"{RESULTS}/evaluation/{{method}}/scores.csv", method=METHODS),
        cases=f"{RESULTS}/data/cases.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
        published=f"{workflow.basedir}/config/published/{PAPER}.csv",
        caption=f"{workflow.basedir}/workflow/report/table_dice.rst",
        code=expand(CODE, module=["tables", "printing", "published"]),
    output:
        html=report(
            f"{TABLES}/table1_dice.html",
            caption="../report/table_dice.rst",
            category="Tables",
            labels={"table": "1 Dice", "form": "printed"},
        ),
        csv=report(
            f"{TABLES}/table1_dice.csv",
            caption="../report/table_dice.rst",
            category="Tables",
            labels={"table": "1 Dice", "form": "CSV"},
        ),
        tex=report(
            f"{TABLES}/table1_dice.tex",
            caption="../report/table_dice.rst",
            category="Tables",
            labels={"table": "1 Dice", "form": "LaTeX"},
        ),
        md=f"{TABLES}/table1_dice.md",
    log:
        f"{RESULTS}/logs/reporting/table_dice.log",
    benchmark:
        f"{RESULTS}/benchmarks/table_dice/all.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        title=STUDY["title"],
        seed=STUDY["seed"],
        paper=PAPER,
        paper_test_sets=PAPER_TEST_SETS,
        methods=METHOD_LABELS,
        test_sets=TEST_SET_LABELS,
        counts=lambda wildcards, input: count_volumes(
            input.cases, input.test_sets, TEST_SET_LABELS
        ),
    script:
        "../scripts/table_dice.py"


rule table_ece:
    input:
        calibration=expand(
            f"{RESULTS}/evaluation/{{method}}/calibration.csv", method=METHODS
        ),
        scores=expand(f"{RESULTS}/evaluation/{{method}}/scores.csv", method=METHODS),
        cases=f"{RESULTS}/data/cases.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
        published=f"{workflow.basedir}/config/published/{PAPER}.csv",
        caption=f"{workflow.basedir}/workflow/report/table_ece.rst",
        code=expand(CODE, module=["tables", "printing", "published"]),
    output:
        html=report(
            f"{TABLES}/table2_ece.html",
            caption="../report/table_ece.rst",
            category="Tables",
            labels={"table": "2 ECE", "form": "printed"},
        ),
        csv=report(
            f"{TABLES}/table2_ece.csv",
            caption="../report/table_ece.rst",
            category="Tables",
            labels={"table": "2 ECE", "form": "CSV"},
        ),
        tex=report(
            f"{TABLES}/table2_ece.tex",
            caption="../report/table_ece.rst",
            category="Tables",
            labels={"table": "2 ECE", "form": "LaTeX"},
        ),
        md=f"{TABLES}/table2_ece.md",
    log:
        f"{RESULTS}/logs/reporting/table_ece.log",
    benchmark:
        f"{RESULTS}/benchmarks/table_ece/all.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        title=STUDY["title"],
        seed=STUDY["seed"],
        paper=PAPER,
        paper_test_sets=PAPER_TEST_SETS,
        methods=METHOD_LABELS,
        test_sets=TEST_SET_LABELS,
        ece=STUDY["evaluation"]["ece"],
        counts=lambda wildcards, input: count_volumes(
            input.cases, input.test_sets, TEST_SET_LABELS
        ),
    script:
        "../scripts/table_ece.py"


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
        code=expand(CODE, module=["uncertainty_maps", "selection", "slices", "style"]),
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
        code=expand(CODE, module=["reliability", "style"]),
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
        histories=[
            f"{folder}/history.csv" for folder in STUDY.all_run_folders().values()
        ],
        code=expand(CODE, module=["training_curves", "style"]),
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
        # training/<recipe>-<key>/seed-<k>
        recipes={
            run: PurePath(folder).parent.name.rpartition("-")[0]
            for run, folder in STUDY.all_run_folders().items()
        },
        seed=STUDY["seed"],
    script:
        "../scripts/figure_training_curves.py"


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
            code=expand(CODE, module=["checkpoints", "selection", "slices", "style"]),
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
            schedule=lambda wildcards: STUDY["recipes"][
                STUDY["methods"][TRAJECTORY]["recipe"]
            ]["schedule"],
            per_cycle=2,
            label=METHOD_LABELS[TRAJECTORY],
            seed=STUDY["seed"],
            counts=lambda wildcards, input: count_volumes(
                input.cases, input.test_sets, TEST_SET_LABELS
            ),
        script:
            "../scripts/figure_checkpoints.py"

    rule figure_tsne:
        input:
            last_layer=lambda wildcards: f"{STUDY.run_folders(TRAJECTORY)[0]}/last_layer.npy",
            samples=f"{RESULTS}/prediction/{TRAJECTORY}/samples.csv",
            code=expand(CODE, module=["tsne", "style"]),
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
            schedule=lambda wildcards: STUDY["recipes"][
                STUDY["methods"][TRAJECTORY]["recipe"]
            ]["schedule"],
            perplexity=STUDY["reporting"]["tsne"]["perplexity"],
            label=METHOD_LABELS[TRAJECTORY],
            seed=STUDY["seed"],
        script:
            "../scripts/figure_tsne.py"
