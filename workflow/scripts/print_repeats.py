"""Rule print_repeats: each method's numbers over its repeats."""

import pandas as pd

from cardiouq.errors import reported_to_user
from cardiouq.files import written_whole
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.repeats import print_repeats
from cardiouq.reporting.writing import write_printed

with reported_to_user(snakemake.log[0]):
    table = pd.read_csv(snakemake.input.repeats)
    with written_whole(snakemake.output.csv) as temporary:
        table.to_csv(temporary, index=False)
    write_printed(
        print_repeats(
            table,
            snakemake.params.methods,
            snakemake.params.test_sets,
            render_caption(snakemake.input.caption, snakemake),
        ),
        markdown=snakemake.output.md,
        latex=snakemake.output.tex,
        html=snakemake.output.html,
    )
