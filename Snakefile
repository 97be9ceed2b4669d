"""CardioUQ: from raw cardiac MRI scans to the printed tables and figures."""

import logging
import sys
from importlib.util import find_spec
from pathlib import Path

from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

min_version("9.0")
# The code beside this file is what runs, here and in jobs, whatever the environment has installed.
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
SOURCE = ROOT / "src"
sys.path.insert(0, str(SOURCE))
FOUND = getattr(find_spec("cardiouq"), "origin", None)
if Path(FOUND or "").resolve() != (SOURCE / "cardiouq/__init__.py").resolve():
    sys.exit(
        f"\nERROR: {ROOT}/Snakefile: its code is to be in {SOURCE}, and what would run is "
        f"{FOUND or 'none'}; run the Snakefile of a whole checkout on this machine, not a copy of "
        "it or a link to it, and one checkout in a process\n"
    )

from cardiouq.errors import CardiouqError, leave_on_ctrl_c

leave_on_ctrl_c()  # before what takes long to import

from cardiouq.files.writing import check_room
from cardiouq.files.locks import claim
from cardiouq.device.environment import (
    as_typed,
    check_checkout,
    data_roots,
    gpus_per_job,
    name_files_in_utf8,
    prepare_environment,
)
from cardiouq.study.study import ROOMS, Study

name_files_in_utf8()
# Folders of Snakemake's own.
NOTES = ["locks", "log", "metadata", "incomplete"]
# On a full disk each line of Snakemake's log would be a traceback, and hide what the jobs say.
logging.raiseExceptions = False


configfile: ROOT / "config/config.yaml"


TYPED = as_typed(workflow.config_settings.config_args)
config |= {
    key: text for key, text in TYPED.items() if key in config
}  # a module has its own


report: "workflow/report/workflow.rst"


try:
    check_checkout(ROOT)
    STUDY = Study(config.get("study", ""), data_roots(config), ROOT / "config")
    check_room(Path.cwd(), *(Path(".snakemake", notes) for notes in NOTES))
    check_room(*(Path(STUDY.results, room) for room in ROOMS))
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
        in_conda=DeploymentMethod.CONDA
        in workflow.deployment_settings.deployment_method,
    )
except CardiouqError as error:
    sys.exit(f"\nERROR: {error}\n")

RESULTS = STUDY.results
METHODS = list(STUDY.methods)
PREDICTED = [*METHODS, *STUDY.repeats]
TEST_SETS = list(STUDY["test_sets"])
GPUS_PER_JOB = gpus_per_job(config["device"])


include: "workflow/rules/fetch.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/prediction.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/reporting.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/shift.smk"


# Snakemake's own lock is of a working directory, and `--nolock` leaves it out.
onstart:
    if any(workflow.persistence.all_outputfiles()):  # not of `fetch_acdc`
        try:
            claim(Path(RESULTS))
            STUDY.claim_results()
        except CardiouqError as error:
            sys.exit(f"\nERROR: {error}\n")


# What write_provenance describes.
PRODUCTS = [
    str(path)
    for paths in (
        *[getattr(rules, f"print_{table}").output for table in PRINTED],
        rules.print_cost.output,
        rules.print_quality_control.output,
        rules.data_page.output,
        rules.figure_quality_cost.output,
        rules.figure_quality_control.output,
        rules.figure_uncertainty_maps.output,
        rules.figure_reliability.output,
        rules.figure_training_curves.output,
        rules.figure_posterior_sd.output if POSTERIORS else [],
        rules.figure_checkpoints.output if TRAJECTORY else [],
        rules.figure_tsne.output if TRAJECTORY else [],
        rules.print_repeats.output if STUDY.repeats else [],
        rules.figure_dataset_shift.output,
        rules.figure_structural_uncertainty.output,
        rules.figure_distorted_examples.output if DISTORTED else [],
        rules.figure_distortion_maps.output if DISTORTED else [],
        expand(rules.figure_distortion_boxes.output, metric=BOXED) if DISTORTED else [],
    )
    for path in paths
]


rule all:
    default_target: True
    input:
        PRODUCTS,
        rules.write_provenance.output,
