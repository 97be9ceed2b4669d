"""A study: every rule from its scans to its report."""

from cardiouq.files.writing import check_writable
from cardiouq.files.locks import lock_results
from cardiouq.device.environment import data_roots, prepare_environment
from cardiouq.study.study import RESULT_FOLDERS, Study

# Folders of Snakemake's own.
NOTES = ["locks", "log", "metadata", "incomplete"]


report: "report/workflow.rst"


try:
    STUDY = Study(config.get("study", ""), data_roots(config), ROOT / "config")
    check_writable(Path.cwd(), *(Path(".snakemake", notes) for notes in NOTES))
    check_writable(*(Path(STUDY.results, folder) for folder in RESULT_FOLDERS))
    STUDY.check_results()
    STUDY.check_sources()
    if workflow.modifier.path_modifier.replace_prefix(STUDY.results) != STUDY.results:
        raise CardiouqError(
            "`prefix` and `replace_prefix` of a module move what its rules write, and not what "
            "their scripts are told; leave them out, and choose a folder by `workdir:`"
        )
    prepare_environment(
        config["device"],
        STUDY.structures,
        compiles=config.get("compile", "auto"),
        in_conda=IN_CONDA,
    )
except CardiouqError as error:
    sys.exit(f"\nERROR: {error}\n")

RESULTS = STUDY.results
METHODS = list(STUDY.methods)
TEST_SETS = list(STUDY["test_sets"])


include: "rules/common.smk"
include: "rules/fetch.smk"
include: "rules/data.smk"
include: "rules/training.smk"
include: "rules/prediction.smk"
include: "rules/evaluation.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/viewer.smk"
include: "rules/provenance.smk"
include: "rules/pages.smk"


# Snakemake's own lock is of a working directory, and `--nolock` leaves it out.
onstart:
    if any(workflow.persistence.all_outputfiles()):  # not of `fetch_acdc`
        try:
            lock_results(Path(RESULTS))
            STUDY.note_study()
        except CardiouqError as error:
            sys.exit(f"\nERROR: {error}\n")
    # Snakemake 9 would look for jobs to start once more a second for each that has ended, as a
    # limit of jobs a second asks for. On one machine its cores are the limit.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


# What the rules of this checkout share: an environment and, on a cluster, one job of all reporting.
for made in workflow.rules:
    if Path(made.snakefile).is_relative_to(ROOT):
        made.conda_env = str(ROOT / "envs/environment.yaml")
        if f"{RESULTS}/logs/reporting" in str(made.log):
            made.group = "reporting"


rule all:
    """Make every table, figure and page of the study, and one report of all of them."""
    default_target: True
    input:
        PRODUCTS,
        rules.write_provenance.output,
        rules.write_report.output,


rule apply:
    """Segment scans of one's own with a model, which stands in the place of a study."""
    input:
        lambda wildcards: sys.exit(
            "\nERROR: no model is given; say `--config model=FOLDER scans=FOLDER`\n"
        ),
