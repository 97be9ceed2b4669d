"""Rule table_ece: calibration of every method on every test set, the paper's beside ours
(Table 2)."""

from cardiouq.errors import reported_to_user
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.printing import print_ece
from cardiouq.reporting.published import read_published, with_published
from cardiouq.reporting.reading import read_tables
from cardiouq.reporting.tables import summarise_ece
from cardiouq.reporting.writing import write_printed, write_summary

with reported_to_user(snakemake.log[0]):
    methods, test_sets = snakemake.params.methods, snakemake.params.test_sets
    summary = with_published(
        summarise_ece(
            read_tables(snakemake.input.calibration),
            read_tables(snakemake.input.scores),
            list(methods),
            list(test_sets),
            snakemake.params.ece["pool"],
            snakemake.params.ece["box"],
        ),
        read_published(snakemake.input.published),
        "ece_percent",
        snakemake.params.paper_test_sets,
    )
    write_summary(summary, snakemake.output.csv)
    caption = render_caption(snakemake.input.caption, snakemake)
    write_printed(
        print_ece(summary, methods, test_sets, caption),
        markdown=snakemake.output.md,
        latex=snakemake.output.tex,
        html=snakemake.output.html,
    )
