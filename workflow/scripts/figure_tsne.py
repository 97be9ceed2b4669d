"""Rule figure_tsne: the cyclical run's way through weight space (Fig. 2)."""

from pathlib import Path

import numpy as np

from cardiouq.errors import reported_to_user
from cardiouq.reporting.style import save_figure
from cardiouq.reporting.tsne import draw_tsne
from cardiouq.seeds import derive
from cardiouq.tables import read_rows

with reported_to_user(snakemake.log[0]):
    figure = draw_tsne(
        np.load(Path(snakemake.input.run).with_name("last_layer.npy")),
        posterior_epochs=read_rows(snakemake.input.samples)["epoch"].tolist(),
        cycles=snakemake.params.schedule["cycles"],
        perplexity=snakemake.params.perplexity,
        seed=derive(snakemake.params.seed, "reporting", "tsne") % 2**32,
    )
    save_figure(figure, snakemake.output.png, snakemake.output.pdf)
