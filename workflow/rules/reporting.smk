"""Reporting: scores to tables, the paper's numbers beside ours; the figures are a file of their own."""

import json
from pathlib import PurePath

from cardiouq.reporting.captions import CAPTIONS, count_cases, count_volumes
from cardiouq.study.runs import needed_checkpoints, needed_runs
from cardiouq.reporting.tables.published import files_of
from cardiouq.reporting.shown import in_report, own_code, settings_to_show
from cardiouq.structures import HEART

TABLES = f"{RESULTS}/reporting/tables"
# Texts of the user's, as parameters hold them.
METHOD_LABELS = in_report({name: STUDY["methods"][name]["label"] for name in METHODS})
TEST_SET_LABELS = in_report(
    {name: STUDY["test_sets"][name]["label"] for name in TEST_SETS}
)
SETTINGS = settings_to_show(STUDY.written)
PAPER = STUDY["reporting"]["published"]
PAPER_TEST_SETS = in_report(
    {
        name: STUDY["test_sets"][name]["published"]
        for name in TEST_SETS
        if STUDY["test_sets"][name].get("published")
    }
)
DOMAINS = {name: STUDY["test_sets"][name]["domain"] for name in TEST_SETS}
# What is printed, and what it is called in the report.
PRINTED = {
    "table1_dice": "1 Dice",
    "table2_ece": "2 ECE",
    "verdict": "Paper versus ours",
    "segmentation": "Segmentation",
    "calibration": "Calibration",
    "failure_detection": "Failure detection",
    "clinical": "Clinical quantities",
    "comparisons": "Comparisons",
    "ranks": "Ranks",
}
if not (PAPER or DISTORTED):
    del PRINTED["verdict"]
if not set(STUDY.structures) >= set(HEART):
    del PRINTED["clinical"]


for TABLE, TITLE in PRINTED.items():

    rule:
        name:
            f"print_{TABLE}"
        input:
            summary=f"{RESULTS}/evaluation/summary.csv",
            comparisons=f"{RESULTS}/evaluation/comparisons.csv",
            ranks=f"{RESULTS}/evaluation/ranks.csv",
            cases=f"{RESULTS}/data/cases.csv",
            test_sets=f"{RESULTS}/data/test_sets.csv",
            distortions=(
                [f"{RESULTS}/evaluation/distortions.csv"]
                if DISTORTED and TABLE == "verdict"
                else []
            ),
            quality_control=(
                [f"{RESULTS}/evaluation/quality_control.csv"]
                if DISTORTED and TABLE == "verdict"
                else []
            ),
        output:
            html=report(
                f"{TABLES}/{TABLE}.html",
                caption=f"../report/{TABLE}.rst",
                category="Tables",
                labels={"table": TITLE, "form": "printed"},
            ),
            csv=report(
                f"{TABLES}/{TABLE}.csv",
                caption=f"../report/{TABLE}.rst",
                category="Tables",
                labels={"table": TITLE, "form": "CSV"},
            ),
            tex=report(
                f"{TABLES}/{TABLE}.tex",
                caption=f"../report/{TABLE}.rst",
                category="Tables",
                labels={"table": TITLE, "form": "LaTeX"},
            ),
            md=f"{TABLES}/{TABLE}.md",
        log:
            f"{RESULTS}/logs/reporting/{TABLE}.log",
        benchmark:
            f"{RESULTS}/benchmarks/print/{TABLE}.tsv"
        group:
            "reporting"
        conda:
            "../../envs/environment.yaml"
        params:
            code=code_of("print_table", CAPTIONS / f"{TABLE}.rst", *files_of(PAPER)),
            table=TABLE,
            title=lambda wildcards: in_report(STUDY["title"]),
            seed=STUDY["seed"],
            paper=PAPER,
            paper_test_sets=PAPER_TEST_SETS,
            methods=METHOD_LABELS,
            test_sets=TEST_SET_LABELS,
            study=lambda wildcards: in_report(json.dumps(SETTINGS)),
            evaluation=STUDY["evaluation"],
            counts=lambda wildcards, input: count_volumes(
                input.cases, input.test_sets, TEST_SET_LABELS
            ),
        script:
            "../scripts/print_table.py"


# The files of Snakemake's benchmarks, which no rule puts out: they are read where they are.
rule print_cost:
    input:
        summary=f"{RESULTS}/evaluation/summary.csv",
        samples=expand(f"{RESULTS}/prediction/{{method}}/samples.csv", method=METHODS),
        runs=expand(TRAINED, run=STUDY.all_run_folders().values()),
        cases=f"{RESULTS}/data/cases.csv",
        distorted=CASE_TABLES[1:],
        test_sets=f"{RESULTS}/data/test_sets.csv",
    output:
        html=report(
            f"{TABLES}/cost.html",
            caption="../report/cost.rst",
            category="Tables",
            labels={"table": "Cost", "form": "printed"},
        ),
        csv=report(
            f"{TABLES}/cost.csv",
            caption="../report/cost.rst",
            category="Tables",
            labels={"table": "Cost", "form": "CSV"},
        ),
        tex=report(
            f"{TABLES}/cost.tex",
            caption="../report/cost.rst",
            category="Tables",
            labels={"table": "Cost", "form": "LaTeX"},
        ),
        md=f"{TABLES}/cost.md",
    log:
        f"{RESULTS}/logs/reporting/cost.log",
    benchmark:
        f"{RESULTS}/benchmarks/print/cost.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("print_cost", CAPTIONS / "cost.rst"),
        title=lambda wildcards: in_report(STUDY["title"]),
        seed=STUDY["seed"],
        methods=METHOD_LABELS,
        domains=DOMAINS,
        runs={method: needed_runs(STUDY, method) for method in METHODS},
        checkpoints={method: needed_checkpoints(STUDY, method) for method in METHODS},
        training_benchmarks={
            run: f"{RESULTS}/benchmarks/train/{PurePath(run).relative_to(f'{RESULTS}/training')}.tsv"
            for run in STUDY.all_run_folders().values()
        },
        prediction_benchmarks={
            method: f"{RESULTS}/benchmarks/predict/{method}.tsv" for method in METHODS
        },
        counts=lambda wildcards, input: count_volumes(
            input.cases, input.test_sets, TEST_SET_LABELS
        ),
    script:
        "../scripts/print_cost.py"


rule print_quality_control:
    input:
        table=f"{RESULTS}/evaluation/quality_control.csv",
        cases=f"{RESULTS}/data/cases.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
    output:
        html=report(
            f"{TABLES}/quality_control.html",
            caption="../report/quality_control.rst",
            category="Tables",
            labels={"table": "Quality control", "form": "printed"},
        ),
        csv=report(
            f"{TABLES}/quality_control.csv",
            caption="../report/quality_control.rst",
            category="Tables",
            labels={"table": "Quality control", "form": "CSV"},
        ),
        tex=report(
            f"{TABLES}/quality_control.tex",
            caption="../report/quality_control.rst",
            category="Tables",
            labels={"table": "Quality control", "form": "LaTeX"},
        ),
        md=f"{TABLES}/quality_control.md",
    log:
        f"{RESULTS}/logs/reporting/quality_control.log",
    benchmark:
        f"{RESULTS}/benchmarks/print/quality_control.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("print_quality_control", CAPTIONS / "quality_control.rst"),
        title=lambda wildcards: in_report(STUDY["title"]),
        seed=STUDY["seed"],
        methods=METHOD_LABELS,
        test_sets=TEST_SET_LABELS,
        poor=STUDY["evaluation"]["poor"],
        counts=lambda wildcards, input: count_volumes(
            input.cases, input.test_sets, TEST_SET_LABELS
        ),
    script:
        "../scripts/print_quality_control.py"


if STUDY.repeats:

    rule print_repeats:
        input:
            repeats=f"{RESULTS}/evaluation/repeats.csv",
            cases=f"{RESULTS}/data/cases.csv",
            test_sets=f"{RESULTS}/data/test_sets.csv",
        output:
            html=report(
                f"{TABLES}/repeats.html",
                caption="../report/repeats.rst",
                category="Tables",
                labels={"table": "Repeats", "form": "printed"},
            ),
            csv=report(
                f"{TABLES}/repeats.csv",
                caption="../report/repeats.rst",
                category="Tables",
                labels={"table": "Repeats", "form": "CSV"},
            ),
            tex=report(
                f"{TABLES}/repeats.tex",
                caption="../report/repeats.rst",
                category="Tables",
                labels={"table": "Repeats", "form": "LaTeX"},
            ),
            md=f"{TABLES}/repeats.md",
        log:
            f"{RESULTS}/logs/reporting/repeats.log",
        benchmark:
            f"{RESULTS}/benchmarks/print/repeats.tsv"
        group:
            "reporting"
        conda:
            "../../envs/environment.yaml"
        params:
            code=code_of("print_repeats", CAPTIONS / "repeats.rst"),
            title=lambda wildcards: in_report(STUDY["title"]),
            seed=STUDY["seed"],
            methods=METHOD_LABELS,
            test_sets=TEST_SET_LABELS,
            counts=lambda wildcards, input: count_volumes(
                input.cases, input.test_sets, TEST_SET_LABELS
            ),
        script:
            "../scripts/print_repeats.py"


# Benchmarks and the machines of runs are files that no rule puts out: they are read where they are.
rule write_provenance:
    input:
        products=lambda wildcards: PRODUCTS,
        runs=expand(TRAINED, run=STUDY.all_run_folders().values()),
    output:
        json=report(
            f"{RESULTS}/provenance.json",
            caption="../report/provenance.rst",
            category="Provenance",
            labels={"provenance": "JSON"},
        ),
        html=report(
            f"{RESULTS}/reporting/provenance.html",
            caption="../report/provenance.rst",
            category="Provenance",
            labels={"provenance": "printed"},
        ),
    log:
        f"{RESULTS}/logs/reporting/write_provenance.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_provenance/all.tsv"
    group:
        "reporting"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("write_provenance", CAPTIONS / "provenance.rst"),
        title=lambda wildcards: in_report(STUDY["title"]),
        settings=lambda wildcards: in_report(
            json.dumps(SETTINGS | own_code(STUDY.written))
        ),
        runs=STUDY.all_run_folders(),
        predicted=PREDICTED,
    script:
        "../scripts/write_provenance.py"
