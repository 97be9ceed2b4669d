"""Rule check_data: flags of what is odd in the scans."""

import logging
from pathlib import Path

from cardiouq.data.case_table import read_case_table
from cardiouq.data.integrity import check_cases, count_flags
from cardiouq.data.split import read_split
from cardiouq.errors import reported_to_user
from cardiouq.files.writing import atomic_write
from cardiouq.logs import log_to

with reported_to_user(snakemake.log[0]):
    log_to(Path(snakemake.log[0]), "check_data")
    checks = check_cases(read_case_table(snakemake.input.cases), read_split(snakemake.input.split))
    for flag, count in count_flags(checks).iterrows():
        logging.info("%s: %d case(s) of %d subject(s)", flag, count.cases, count.subjects)
    with atomic_write(snakemake.output.checks) as temporary:
        checks.to_csv(temporary, index=False)
