"""Rule tabulate_repeats: every number of each method and of its repeats."""

from cardiouq.errors import reported_to_user
from cardiouq.evaluation.reading import read_tables
from cardiouq.evaluation.repeats import tabulate_repeats
from cardiouq.evaluation.statistics import TABLES
from cardiouq.files.writing import atomic_write

with reported_to_user(snakemake.log[0]):
    table = tabulate_repeats(
        {name: read_tables(snakemake.input[name]) for name in TABLES},
        snakemake.params.methods,
        snakemake.params.repeats,
        snakemake.params.members,
        snakemake.params.test_sets,
        snakemake.params.settings,
    )
    with atomic_write(snakemake.output[0]) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
