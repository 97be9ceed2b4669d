"""Rule summarise_distortions: accuracy and uncertainty by kind and degree of distortion."""

from cardiouq.errors import reported_to_user
from cardiouq.evaluation.distortions import summarise_distortions
from cardiouq.evaluation.reading import read_tables
from cardiouq.files.writing import atomic_write

with reported_to_user(snakemake.log[0]):
    table = summarise_distortions(
        read_tables(snakemake.input.slice_scores),
        read_tables(snakemake.input.slice_voxels),
        snakemake.params.distorted,
    )
    with atomic_write(snakemake.output[0]) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
