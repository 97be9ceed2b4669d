"""Rule compare: every number of the study with its interval, and how methods differ and rank."""

from cardiouq.errors import reported_to_user
from cardiouq.evaluation.comparison import compare_pairs, rank_methods, summarise
from cardiouq.evaluation.reading import read_tables
from cardiouq.evaluation.statistics import TABLES, compute_statistics
from cardiouq.files.writing import atomic_write

with reported_to_user(snakemake.log[0]):
    methods, settings = snakemake.params.methods, snakemake.params.settings
    confidence = settings["bootstrap"]["confidence"]
    statistics, groups = compute_statistics(
        {name: read_tables(snakemake.input[name]) for name in TABLES},
        methods,
        snakemake.params.test_sets,
        settings,
        snakemake.params.seed,
    )
    tables = {
        "summary": summarise(statistics, confidence),
        "comparisons": compare_pairs(statistics, groups, methods, confidence),
        "ranks": rank_methods(statistics, methods, confidence),
    }
    for name, table in tables.items():
        with atomic_write(snakemake.output[name]) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
