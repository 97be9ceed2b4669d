"""Rule figure_posterior_sd: SD of the weights' posterior, layer by layer."""

from cardiouq.errors import reported_to_user
from cardiouq.reporting.captioned import write_figure
from cardiouq.reporting.figures.posterior_sd import draw_posterior_sd
from cardiouq.reporting.shown import unescaped

with reported_to_user(snakemake.log[0]):
    figure = draw_posterior_sd(unescaped(snakemake.params.posteriors))
    write_figure(figure, "figure_posterior_sd.rst", snakemake)
