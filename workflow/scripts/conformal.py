"""Rule conformal: intervals that hold the reference as often as promised, of every method."""

from cardiouq.errors import reported_to_user
from cardiouq.evaluation.conformal import conformal
from cardiouq.evaluation.reading import read_tables
from cardiouq.files.writing import atomic_write

with reported_to_user(snakemake.log[0]):
    tables = conformal(
        read_tables(snakemake.input.scores),
        read_tables(snakemake.input.subjects),
        snakemake.params.in_domain,
    )
    for path, table in zip(snakemake.output, tables, strict=True):
        with atomic_write(path) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
