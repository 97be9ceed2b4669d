"""Rule preprocess: every scan as the array that networks see, labels for the training set's."""

from pathlib import Path

from cardiouq.data.case_table import read_case_table
from cardiouq.data.plan import Plan
from cardiouq.data.preprocessing import preprocess_case
from cardiouq.errors import reported_to_user
from cardiouq.files.writing import atomic_folder
from cardiouq.logs import log_to

with reported_to_user(snakemake.log[0]):
    log_to(Path(snakemake.log[0]), "preprocess")
    plan = Plan.read(Path(snakemake.input.plan))
    with atomic_folder(snakemake.output.arrays) as folder:
        for case in read_case_table(snakemake.input.cases).itertuples():
            with_label = case.dataset == snakemake.params.training_dataset
            preprocess_case(case, plan, folder, with_label=with_label)
