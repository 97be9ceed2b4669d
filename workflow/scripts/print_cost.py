"""Rule print_cost: what each method costs, beside its quality."""

import pandas as pd

from cardiouq.errors import reported_to_user
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.cost import (
    count_slices,
    prediction_cost,
    print_cost,
    quality,
    training_cost,
)
from cardiouq.reporting.writing import write_table

with reported_to_user(snakemake.log[0]):
    params = snakemake.params
    n_slices = count_slices(
        pd.read_csv(snakemake.input.cases), pd.read_csv(snakemake.input.test_sets)
    ) + sum(pd.read_csv(table)["slices"].sum() for table in snakemake.input.distorted)
    costs = {
        method: training_cost(params.runs[method], params.training_benchmarks)
        | prediction_cost(
            pd.read_csv(samples),
            n_slices,
            params.prediction_benchmarks[method],
            params.checkpoints[method],
        )
        for method, samples in zip(params.methods, snakemake.input.samples, strict=True)
    }
    columns = pd.DataFrame.from_dict(costs, orient="index").rename_axis("method")
    rows = quality(pd.read_csv(snakemake.input.summary)).merge(columns, on="method")
    printed = print_cost(
        rows,
        params.methods,
        params.domains,
        render_caption(snakemake.input.caption, snakemake),
    )
    write_table(rows, printed, snakemake.output)
