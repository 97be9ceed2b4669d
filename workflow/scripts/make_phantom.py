"""Write the digital phantom as files in the layouts of ACDC and M&Ms."""

from pathlib import Path

from cardiouq.data import phantom
from cardiouq.errors import reported_to_user

with reported_to_user(snakemake.log[0]):
    phantom.generate(
        Path(snakemake.output[0]), **snakemake.params.settings, seed=snakemake.params.seed
    )
