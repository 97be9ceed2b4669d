"""Rule print_cost: what each method costs, beside its quality."""

import pandas as pd

from cardiouq.data.case_table import read_case_table
from cardiouq.data.split import read_test_set_table
from cardiouq.errors import reported_to_user
from cardiouq.files.tables import add_columns, read_rows
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.shown import unescaped
from cardiouq.reporting.tables.cost import (
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
        read_case_table(snakemake.input.cases), read_test_set_table(snakemake.input.test_sets)
    ) + sum(read_case_table(table)["slices"].sum() for table in snakemake.input.distorted)
    costs = {
        method: training_cost(params.runs[method], params.training_benchmarks)
        | prediction_cost(
            read_rows(samples),
            n_slices,
            params.prediction_benchmarks[method],
            params.checkpoints[method],
            params.model_bytes.get(method, 0),
        )
        | {"passes": params.passes[method]}
        for method, samples in zip(params.methods, snakemake.input.samples, strict=True)
    }
    columns = pd.DataFrame.from_dict(costs, orient="index").rename_axis("method").reset_index()
    rows = quality(read_rows(snakemake.input.summary))
    rows = add_columns(rows, columns, ["method"], "the methods' costs")
    printed = print_cost(
        rows,
        unescaped(params.methods),
        params.domains,
        render_caption("cost.rst", snakemake),
    )
    write_table(rows, printed, snakemake.output)
