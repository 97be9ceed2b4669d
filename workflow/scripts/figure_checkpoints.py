"""Rule figure_checkpoints: predictions of single checkpoints of the cyclical run (Fig. 1)."""

from pathlib import Path

from cardiouq.data.case_table import read_case_table
from cardiouq.errors import reported_to_user
from cardiouq.evaluation.reading import read_tables
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.checkpoints import choose_checkpoints, draw_checkpoints

with reported_to_user(snakemake.log[0]):
    checkpoints = choose_checkpoints(
        read_rows(snakemake.input.samples),
        epochs=snakemake.params.schedule["epochs"],
        cycles=snakemake.params.schedule["cycles"],
        per_cycle=snakemake.params.per_cycle,
    )
    figure = draw_checkpoints(
        checkpoints,
        scores=read_tables([snakemake.input.scores], snakemake.params.test_sets),
        cases=read_case_table(snakemake.input.cases),
        predictions=Path(snakemake.input.samples).parent,
    )
    write_figure(figure, "figure_checkpoints.rst", snakemake)
