"""Rule summarise_repeats: mean and SD of each method's numbers over its repeats."""

from cardiouq.errors import reported_to_user
from cardiouq.evaluation.reading import read_tables
from cardiouq.evaluation.repeats import summarise_repeats
from cardiouq.files.writing import atomic_write

with reported_to_user(snakemake.log[0]):
    table = summarise_repeats(
        read_tables(snakemake.input.slice_scores),
        read_tables(snakemake.input.slice_voxels),
        snakemake.params.repeats,
        snakemake.params.test_sets,
    )
    with atomic_write(snakemake.output[0]) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
