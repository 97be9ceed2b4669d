"""Rule evaluate: scores and calibration of one method on all of its test sets."""

from pathlib import Path

from cardiouq.data.case_table import read_case_table
from cardiouq.data.split import read_test_set_table
from cardiouq.errors import reported_to_user
from cardiouq.evaluation.scoring import score_method
from cardiouq.files.asked import note_asked
from cardiouq.files.locks import shared_lock
from cardiouq.files.writing import atomic_write
from cardiouq.logs import log_to

with reported_to_user(snakemake.log[0]):
    log_to(Path(snakemake.log[0]), f"evaluate {snakemake.wildcards.method}")
    predictions = Path(snakemake.input.samples).parent
    with shared_lock(predictions):
        tables = score_method(
            snakemake.wildcards.method,
            predictions,
            read_case_table(*snakemake.input.cases),
            read_test_set_table(*snakemake.input.test_sets),
            **snakemake.params.asked,
        )
    for name, table in tables.items():
        with atomic_write(snakemake.output[name]) as temporary:
            table.to_csv(temporary, index=False)
    note_asked(Path(snakemake.output.scores).parent, snakemake.params.asked)
