"""Write the digital phantom as files in the layouts of ACDC and M&Ms."""

from pathlib import Path

from cardiouq.data.phantom.generate import generate
from cardiouq.errors import reported_to_user
from cardiouq.files.writing import atomic_folder
from cardiouq.logs import log_to

with reported_to_user(snakemake.log[0]):
    log_to(Path(snakemake.log[0]), "make_phantom")
    with atomic_folder(snakemake.output[0]) as folder:
        generate(folder, **snakemake.params.settings, seed=snakemake.params.seed)
