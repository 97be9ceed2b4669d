"""Rule list_cases: the checked case table of every data set of the study."""

from pathlib import Path

from cardiouq.data.cases import make_case_table
from cardiouq.data.readers.found import DataFolder
from cardiouq.errors import reported_to_user
from cardiouq.files.writing import atomic_write
from cardiouq.logs import log_to

with reported_to_user(snakemake.log[0]):
    log_to(Path(snakemake.log[0]), "list_cases")
    cases = make_case_table(
        {
            name: DataFolder(**{**fields, "root": Path(fields["root"])})
            for name, fields in snakemake.params.datasets.items()
        }
    )
    with atomic_write(snakemake.output.cases) as temporary:
        cases.to_csv(temporary, index=False)
