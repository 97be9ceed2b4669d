"""Reporting: the evaluation's numbers to tables, the paper's beside ours."""

import json
from pathlib import PurePath

from cardiouq.files.documents import read_yaml
from cardiouq.reporting.shown import shareable_settings
from cardiouq.reporting.tables.layout import reference_of
from cardiouq.reporting.tables.published import files_of
from cardiouq.reporting.tables.registry import module_of, tables_of
from cardiouq.study.runs import needed_checkpoints, needed_runs
from cardiouq.study.schema import complete
from cardiouq.study.settings import study_file

SETTINGS = shareable_settings(STUDY.written)
PAPER = STUDY["reporting"]["published"]
# What tables are told, as it is no difference from the paper's own study whether a default is written.
COMPLETE_SETTINGS = complete(SETTINGS) | {
    "paper": PAPER and complete(read_yaml(study_file(PAPER, STUDY.config_folder)))
}
PAPER_TEST_SETS = escaped_labels(STUDY["test_sets"], "published") if PAPER else {}
DOMAINS = {name: block["domain"] for name, block in STUDY["test_sets"].items()}
# What tables read where scans are distorted, and where trainings are repeated.
MISSING = [] if DISTORTED else ["distortions", "distorted_summary"]
MISSING += [] if STUDY.repeats else ["repeats"]


for TABLE, ENTRY in tables_of(STUDY).items():

    rule:
        name:
            f"print_{TABLE}"
        input:
            **{
                name: [] if name in MISSING else f"{EVALUATION}/{name}.csv"
                for name in ENTRY.reads
            },
            **TESTED,
            distorted=CASE_TABLES[1:],
        output:
            **table(TABLE, ENTRY.title),
        log:
            f"{RESULTS}/logs/reporting/{TABLE}.log",
        benchmark:
            f"{RESULTS}/benchmarks/print/{TABLE}.tsv"
        params:
            **compared(
                code_of(
                    "print_table",
                    module_of(TABLE),
                    CAPTIONS / f"{TABLE}.rst",
                    *files_of(PAPER),
                )
            ),
            table=TABLE,
            reads=ENTRY.reads,
            title=lambda wildcards: escaped(STUDY["title"]),
            phases=lambda wildcards, input: escaped(
                name_phases(input.cases, input.test_sets)
            ),
            distorted=lambda wildcards, input: ", ".join(
                map(count_cases, input.distorted)
            ),
            reference=METHOD_LABELS[reference_of(STUDY)],
            has_clinical="clinical" in tables_of(STUDY),
            paper=PAPER,
            paper_test_sets=PAPER_TEST_SETS,
            study=lambda wildcards: escaped(json.dumps(COMPLETE_SETTINGS)),
            evaluation=STUDY["evaluation"],
        script:
            "../scripts/print_table.py"

    # A docstring is literal, where these differ; a module has its rules under other names.
    NAME = workflow.modifier.modify_rulename(f"print_{TABLE}")
    if workflow.is_rule(NAME):
        workflow.get_rule(NAME).docstring = ENTRY.rule


# Benchmarks are files of Snakemake's that no rule puts out: they are read where they are.
rule print_cost:
    """Print what each method costs to train and to predict with, beside its quality."""
    input:
        **TESTED,
        summary=f"{EVALUATION}/summary.csv",
        samples=expand(f"{RESULTS}/prediction/{{method}}/samples.csv", method=METHODS),
        runs=expand(TRAINED, run=STUDY.all_run_folders().values()),
        distorted=CASE_TABLES[1:],
    output:
        **table("cost", "Cost"),
    log:
        f"{RESULTS}/logs/reporting/cost.log",
    benchmark:
        f"{RESULTS}/benchmarks/print/cost.tsv"
    params:
        **compared(code_of("print_cost", CAPTIONS / "cost.rst")),
        title=lambda wildcards: escaped(STUDY["title"]),
        domains=DOMAINS,
        runs={method: needed_runs(STUDY, method) for method in METHODS},
        passes={method: STUDY.network_passes(method) for method in METHODS},
        checkpoints={method: needed_checkpoints(STUDY, method) for method in METHODS},
        model_bytes={
            name: method.checkpoint_bytes()
            for name, method in STUDY.pretrained().items()
        },
        training_benchmarks={
            run: f"{RESULTS}/benchmarks/train/{PurePath(run).relative_to(f'{RESULTS}/training')}.tsv"
            for run in STUDY.all_run_folders().values()
        },
        prediction_benchmarks={
            method: f"{RESULTS}/benchmarks/predict/{method}.tsv" for method in METHODS
        },
    script:
        "../scripts/print_cost.py"
