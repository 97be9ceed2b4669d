"""Rule figure_tsne: the cyclical run's way through weight space (Fig. 2)."""

from pathlib import Path

from cardiouq.errors import reported_to_user
from cardiouq.files.reading import read_array
from cardiouq.files.run_files import LAST_LAYER_FILE
from cardiouq.files.tables import read_rows
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.tsne import draw_tsne
from cardiouq.seeds import derive

with reported_to_user(snakemake.log[0]):
    figure = draw_tsne(
        read_array(Path(snakemake.input.run).with_name(LAST_LAYER_FILE)),
        posterior_epochs=read_rows(snakemake.input.samples)["epoch"].tolist(),
        cycles=snakemake.params.schedule["cycles"],
        perplexity=snakemake.params.perplexity,
        seed=derive(snakemake.params.seed, "reporting", "tsne") % 2**32,
    )
    write_figure(figure, "figure_tsne.rst", snakemake)
