"""Rule distort: the scans of a test set at every degree of every kind of distortion."""

import shutil
from pathlib import Path

from cardiouq.data.case_table import read_case_table
from cardiouq.data.distorted import choose_subjects, distort_cases
from cardiouq.data.plan import Plan
from cardiouq.data.split import read_test_set_table
from cardiouq.errors import reported_to_user
from cardiouq.files.locks import exclusive_lock
from cardiouq.files.writing import atomic_write, disk_errors_naming, write_folder_hashes
from cardiouq.logs import log_to

with reported_to_user(snakemake.log[0]):
    log_to(Path(snakemake.log[0]), "distort")
    params = snakemake.params
    test_sets = read_test_set_table(snakemake.input.test_sets)
    tested = test_sets.loc[test_sets["test_set"] == params.of, "case"]
    cases = read_case_table(snakemake.input.cases)
    folder = Path(snakemake.output.scans)
    with disk_errors_naming(folder), exclusive_lock(folder):
        shutil.rmtree(folder, ignore_errors=True)  # of another process, which has just ended
        folder.mkdir()
        tables = distort_cases(
            choose_subjects(cases[cases["case"].isin(tested)], params.subjects, params.seed),
            params.distorted,
            Plan.read(Path(snakemake.input.plan)),
            params.seed,
            folder,
        )
        write_folder_hashes(folder)
    for table, path in zip(
        tables, (snakemake.output.cases, snakemake.output.test_sets), strict=True
    ):
        with atomic_write(path) as temporary:
            table.to_csv(temporary, index=False)
