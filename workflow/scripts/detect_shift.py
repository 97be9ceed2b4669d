"""Rule detect_shift: how well each uncertainty tells test sets from what is in domain."""

import pandas as pd

from cardiouq.errors import reported_to_user
from cardiouq.evaluation.reading import read_tables
from cardiouq.evaluation.shift import detect_shift
from cardiouq.files.tables import read_rows
from cardiouq.files.writing import atomic_write

with reported_to_user(snakemake.log[0]):
    table = detect_shift(
        read_tables(snakemake.input.scores),
        read_tables(snakemake.input.voxels),
        pd.concat(
            read_rows(file).assign(method=method)
            for method, file in zip(
                snakemake.params.methods, snakemake.input.activations, strict=True
            )
        ),
        snakemake.params.in_domain,
        snakemake.params.distorted,
        snakemake.params.bootstrap,
        snakemake.params.seed,
    )
    with atomic_write(snakemake.output[0]) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
