"""From scans on disk to the case table, the split, the plan and arrays."""

from cardiouq.data.case_table import FORMAT_VERSION
from cardiouq.data.preprocessing import ARRAYS_VERSION
from cardiouq.data.split import chosen_by
from cardiouq.provenance.code import digest_of
from cardiouq.structures import PHANTOM

# They decide which values labels have; a study that leaves them out is not listed anew.
STRUCTURES_WRITTEN = {
    key: value for key, value in STUDY.written.items() if key == "structures"
}
GENERATED = any(block["source"] == PHANTOM for block in STUDY["datasets"].values())

if GENERATED:

    rule make_phantom:
        """Generate scans of digital hearts, laid out as ACDC and M&Ms are."""
        output:
            directory(f"{RESULTS}/data/phantom"),
        log:
            f"{RESULTS}/logs/make_phantom.log",
        benchmark:
            f"{RESULTS}/benchmarks/make_phantom.tsv"
        params:
            settings=STUDY.written["phantom"],
            seed=STUDY["seed"],
        script:
            "../scripts/make_phantom.py"


# What predictions come after is given settings as they are written: a default that is new in a schema
# makes nothing anew. Snakemake sees a file that is newer, not one that is other: scans are watched by a parameter.
rule list_cases:
    """List every labelled volume of the data sets in one table."""
    input:
        rules.make_phantom.output if GENERATED else [],
    output:
        cases=f"{RESULTS}/data/cases.csv",
    log:
        f"{RESULTS}/logs/list_cases.log",
    benchmark:
        f"{RESULTS}/benchmarks/list_cases.tsv"
    params:
        **STRUCTURES_WRITTEN,
        datasets=STUDY.data_folders(),
        scans=lambda wildcards: STUDY.scan_states(),
        form=FORMAT_VERSION,
    script:
        "../scripts/list_cases.py"


rule split_subjects:
    """Split the subjects, and say which cases each test set holds."""
    input:
        cases=rules.list_cases.output.cases,
    output:
        split=f"{RESULTS}/data/split.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
    log:
        f"{RESULTS}/logs/split_subjects.log",
    benchmark:
        f"{RESULTS}/benchmarks/split_subjects.tsv"
    params:
        split=STUDY.written["split"],
        test_sets={
            name: chosen_by(block)
            for name, block in STUDY.written["test_sets"].items()
        },
        seed=STUDY["seed"],
    script:
        "../scripts/split_subjects.py"


rule check_data:
    """Flag copies, outliers and gaps among the scans."""
    input:
        cases=rules.list_cases.output.cases,
        split=rules.split_subjects.output.split,
    output:
        checks=f"{RESULTS}/data/checks.csv",
    log:
        f"{RESULTS}/logs/check_data.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_data.tsv"
    params:
        code=code_of("check_data"),
    script:
        "../scripts/check_data.py"


rule make_plan:
    """Plan spacing, patch and topology as nnU-Net would, from the training scans."""
    input:
        cases=rules.list_cases.output.cases,
        split=rules.split_subjects.output.split,
    output:
        plan=f"{RESULTS}/data/plan.json",
    log:
        f"{RESULTS}/logs/make_plan.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_plan.tsv"
    params:
        plan=STUDY.written["plan"],
    script:
        "../scripts/make_plan.py"


rule preprocess:
    """Resample and normalise every scan into arrays."""
    input:
        cases=rules.list_cases.output.cases,
        plan=rules.make_plan.output.plan,
    output:
        arrays=directory(f"{RESULTS}/data/preprocessed"),
    log:
        f"{RESULTS}/logs/preprocess.log",
    benchmark:
        f"{RESULTS}/benchmarks/preprocess.tsv"
    params:
        training_dataset=lambda wildcards: STUDY["split"]["dataset"],
        version=ARRAYS_VERSION,
    script:
        "../scripts/preprocess.py"


rule data_page:
    """Show every subject, with what is odd about its scans, on one page."""
    input:
        cases=rules.list_cases.output.cases,
        split=rules.split_subjects.output.split,
        checks=rules.check_data.output.checks,
    output:
        html=shown(
            f"{RESULTS}/reporting/data.html",
            "data_page",
            "Data",
            page="Data sets, flags and every subject",
        ),
    log:
        f"{RESULTS}/logs/reporting/data_page.log",
    benchmark:
        f"{RESULTS}/benchmarks/data_page/all.tsv"
    params:
        code=code_of("data_page", CAPTIONS / "data_page.rst"),
        title=lambda wildcards: escaped(STUDY["title"]),
        seed=STUDY["seed"],
        counts=lambda wildcards, input: count_cases(input.cases),
    script:
        "../scripts/data_page.py"


PRODUCTS += rules.data_page.output


PLAN = rules.make_plan.output.plan
# What predictions and evaluations are of: the data sets' own scans, and distorted ones.
ARRAYS = [rules.preprocess.output.arrays]
CASE_TABLES = [rules.list_cases.output.cases]
TEST_SET_TABLES = [rules.split_subjects.output.test_sets]
DISTORTED = STUDY.distorted_test_sets()


if DISTORTED:
    # Code that the voxels depend on and no more of what is imported, as a change predicts again.
    VOXELS = [
        SOURCE / "cardiouq/data" / f"{module}.py"
        for module in ["distorted", "distortions", "stretch", "noise", "preprocessing"]
        + ["readers/scans"]
    ]

    rule distort:
        """Distort the scans of a test set, at every degree of every kind."""
        input:
            cases=rules.list_cases.output.cases,
            test_sets=rules.split_subjects.output.test_sets,
            plan=rules.make_plan.output.plan,
        output:
            scans=directory(f"{RESULTS}/data/distorted"),
            cases=f"{RESULTS}/data/distorted_cases.csv",
            test_sets=f"{RESULTS}/data/distorted_test_sets.csv",
        log:
            f"{RESULTS}/logs/distort.log",
        benchmark:
            f"{RESULTS}/benchmarks/distort.tsv"
        params:
            code=lambda wildcards: digest_of(VOXELS),
            distorted=DISTORTED,
            of=STUDY["distortions"]["test_set"],
            subjects=STUDY["distortions"]["subjects"],
            seed=STUDY["seed"],
        script:
            "../scripts/distort.py"

    ARRAYS.append(rules.distort.output.scans)
    CASE_TABLES.append(rules.distort.output.cases)
    TEST_SET_TABLES.append(rules.distort.output.test_sets)
