"""From scans on disk to the case table, the split, the plan and arrays."""

from cardiouq.data.cases import FORM
from cardiouq.provenance.code import code_of
from cardiouq.structures import PHANTOM

GENERATED = any(block["source"] == PHANTOM for block in STUDY["datasets"].values())

if GENERATED:

    rule make_phantom:
        output:
            directory(f"{RESULTS}/data/phantom"),
        log:
            f"{RESULTS}/logs/make_phantom.log",
        benchmark:
            f"{RESULTS}/benchmarks/make_phantom.tsv"
        conda:
            "../../envs/environment.yaml"
        params:
            settings=STUDY["phantom"],
            seed=STUDY["seed"],
        script:
            "../scripts/make_phantom.py"


# What predictions come after is given settings as they are written: a default that is new in a schema
# makes nothing anew. Snakemake sees a file that is newer, not one that is other: scans are watched by a parameter.
rule list_cases:
    input:
        rules.make_phantom.output if GENERATED else [],
    output:
        cases=f"{RESULTS}/data/cases.csv",
    log:
        f"{RESULTS}/logs/list_cases.log",
    benchmark:
        f"{RESULTS}/benchmarks/list_cases.tsv"
    conda:
        "../../envs/environment.yaml"
    params:
        datasets=STUDY.data_folders(),
        scans=lambda wildcards: STUDY.scan_states(),
        form=FORM,
    script:
        "../scripts/list_cases.py"


rule split_subjects:
    input:
        cases=rules.list_cases.output.cases,
    output:
        split=f"{RESULTS}/data/split.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
    log:
        f"{RESULTS}/logs/split_subjects.log",
    benchmark:
        f"{RESULTS}/benchmarks/split_subjects.tsv"
    conda:
        "../../envs/environment.yaml"
    params:
        split=STUDY.written["split"],
        test_sets=STUDY.written["test_sets"],
        seed=STUDY["seed"],
    script:
        "../scripts/split_subjects.py"


rule check_data:
    input:
        cases=rules.list_cases.output.cases,
        split=rules.split_subjects.output.split,
    output:
        checks=f"{RESULTS}/data/checks.csv",
    log:
        f"{RESULTS}/logs/check_data.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_data.tsv"
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_of("check_data"),
    script:
        "../scripts/check_data.py"


rule make_plan:
    input:
        cases=rules.list_cases.output.cases,
        split=rules.split_subjects.output.split,
    output:
        plan=f"{RESULTS}/data/plan.json",
    log:
        f"{RESULTS}/logs/make_plan.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_plan.tsv"
    conda:
        "../../envs/environment.yaml"
    params:
        plan=STUDY.written["plan"],
    script:
        "../scripts/make_plan.py"


rule preprocess:
    input:
        cases=rules.list_cases.output.cases,
        plan=rules.make_plan.output.plan,
    output:
        arrays=directory(f"{RESULTS}/data/preprocessed"),
    log:
        f"{RESULTS}/logs/preprocess.log",
    benchmark:
        f"{RESULTS}/benchmarks/preprocess.tsv"
    conda:
        "../../envs/environment.yaml"
    params:
        training_dataset=lambda wildcards: STUDY["split"]["dataset"],
    script:
        "../scripts/preprocess.py"


PLAN = f"{RESULTS}/data/plan.json"
# What predictions and evaluations are of: the data sets' own scans, and distorted ones.
ARRAYS = [f"{RESULTS}/data/preprocessed"]
CASE_TABLES = [f"{RESULTS}/data/cases.csv"]
TEST_SET_TABLES = [f"{RESULTS}/data/test_sets.csv"]
DISTORTED = STUDY.distorted_test_sets()


if DISTORTED:

    rule distort:
        input:
            cases=rules.list_cases.output.cases,
            test_sets=rules.split_subjects.output.test_sets,
            plan=rules.make_plan.output.plan,
            # what the voxels depend on and no more, as a change predicts again
            code=lambda wildcards: [
                f"{ROOT}/src/cardiouq/data/{module}.py"
                for module in (
                    "distortions",
                    "distorted",
                    "stretch",
                    "noise",
                    "preprocessing",
                    "readers/scans",
                )
            ],
        output:
            scans=directory(f"{RESULTS}/data/distorted"),
            cases=f"{RESULTS}/data/distorted_cases.csv",
            test_sets=f"{RESULTS}/data/distorted_test_sets.csv",
        log:
            f"{RESULTS}/logs/distort.log",
        benchmark:
            f"{RESULTS}/benchmarks/distort.tsv"
        conda:
            "../../envs/environment.yaml"
        params:
            distorted=DISTORTED,
            of=STUDY["distortions"]["test_set"],
            subjects=STUDY["distortions"]["subjects"],
            seed=STUDY["seed"],
        script:
            "../scripts/distort.py"

    ARRAYS.append(rules.distort.output.scans)
    CASE_TABLES.append(rules.distort.output.cases)
    TEST_SET_TABLES.append(rules.distort.output.test_sets)
