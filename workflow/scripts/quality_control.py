"""Rule quality_control: what review by uncertainty leaves poor, of every method."""

from cardiouq.errors import reported_to_user
from cardiouq.evaluation.quality_control import quality_control
from cardiouq.evaluation.reading import read_tables
from cardiouq.files.writing import atomic_write

with reported_to_user(snakemake.log[0]):
    tables = quality_control(
        read_tables(snakemake.input.slice_scores),
        snakemake.params.methods,
        snakemake.params.test_sets,
        snakemake.params.poor,
    )
    for path, table in zip(snakemake.output, tables, strict=True):
        with atomic_write(path) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
