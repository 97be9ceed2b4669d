"""CardioUQ: from raw cardiac MRI scans to the printed tables and figures."""

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

from cardiouq.errors import CardiouqError
from cardiouq.study import Study

min_version("9.0")


configfile: Path(workflow.basedir, "config", "config.yaml")


for key in ("acdc_root", "mnms_root"):
    config[key] = config[key] or os.environ.get(f"CARDIOUQ_{key.upper()}", "")

try:
    STUDY = Study(config["study"], config, Path(workflow.basedir, "config"))
    STUDY.check_sources()
except CardiouqError as error:
    sys.exit(f"\nERROR: {error}\n")

RESULTS = STUDY.results
METHODS = list(STUDY.methods)
TEST_SETS = list(STUDY["test_sets"])
runs_of, run_dirs = STUDY.run_folders, STUDY.all_run_folders
# a GPU job claims one; without a limit on `gpu` Snakemake would start them all at once
GPUS_PER_JOB = int(config["device"] == "cuda" or (config["device"] == "auto" and os.path.exists("/dev/nvidia0")))

# `python` in a rule's shell command is the one that runs Snakemake, activated or not
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
# keep freed memory in the process: a training step on the CPU is up to 1.5 times faster
for variable in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
    os.environ.setdefault(variable, str(16 * 1024**3))


include: "workflow/rules/data.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/prediction.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/reporting.smk"


rule all:
    default_target: True
    input:
        rules.table_dice.output,
        rules.table_ece.output,
        rules.figure_checkpoints.output,
        rules.figure_tsne.output,
        rules.figure_uncertainty_maps.output,
        rules.figure_reliability.output,
        rules.figure_training_curves.output,
