"""Rule rank_distorted: how well uncertainty finds the bad among distorted scans."""

from cardiouq.errors import reported_to_user
from cardiouq.evaluation.comparison import summarise
from cardiouq.evaluation.distortions import POOLED, pool_degrees
from cardiouq.evaluation.reading import read_tables
from cardiouq.evaluation.statistics import compute_statistics
from cardiouq.files.writing import atomic_write

with reported_to_user(snakemake.log[0]):
    settings = snakemake.params.settings
    statistics, _ = compute_statistics(
        {
            name: pool_degrees(read_tables(files), snakemake.params.distorted)
            for name, files in snakemake.input.items()
        },
        snakemake.params.methods,
        [POOLED],
        settings,
        snakemake.params.seed,
    )
    table = summarise(statistics, settings["bootstrap"]["confidence"])
    with atomic_write(snakemake.output[0]) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
