"""Write the digital phantom as files in the layouts of ACDC and M&Ms."""

from cardiouq.data import phantom
from cardiouq.errors import reported_to_user
from cardiouq.files import folder_written_whole

with (
    reported_to_user(snakemake.log[0]),
    folder_written_whole(snakemake.output[0]) as folder,
):
    phantom.generate(folder, **snakemake.params.settings, seed=snakemake.params.seed)
