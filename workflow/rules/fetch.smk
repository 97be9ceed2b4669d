"""Public data sets that anyone may have.

    snakemake --cores 1 fetch_acdc --config study=demo acdc_root=FOLDER

Not part of a study, as its files have to be there before the jobs are known; the demo needs none.
"""


rule fetch_acdc:
    """Download, verify and unpack ACDC."""
    input:
        sources=f"{ROOT}/config/data_sources.csv",
    log:
        "results/logs/fetch_acdc.log",
    params:
        script=ROOT / "workflow/scripts/fetch.py",
        root=lambda wildcards: STUDY.local_config["acdc_root"],
    shell:
        "python {params.script:q} --dataset acdc --root={params.root:q}"
        " --sources {input.sources:q} --log {log:q}"
