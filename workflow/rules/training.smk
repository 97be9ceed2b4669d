"""Training: from a recipe and a seed to a run.

A run's path holds a key of all settings it depends on, so settings decide whether it is trained,
and the age of its inputs does not (`ancient`).
"""

from cardiouq.device.environment import gpus_per_job
from cardiouq.files.run_files import MARK
from cardiouq.methods.base import MEMBER, Member
from cardiouq.progress.estimates import training_resources

RUN = f"{RESULTS}/training/{{recipe}}-{{key}}/seed-{{member}}"
TRAINED = f"{{run}}/{MARK}"
GPUS_PER_JOB = gpus_per_job(config["device"], in_conda=IN_CONDA)


rule train:
    """Train one member of a recipe, or go on where it was interrupted."""
    input:
        arrays=ancient(f"{RESULTS}/data/preprocessed"),
        cases=ancient(f"{RESULTS}/data/cases.csv"),
        split=ancient(f"{RESULTS}/data/split.csv"),
        plan=ancient(f"{RESULTS}/data/plan.json"),
        base=lambda wildcards: ancient(
            expand(
                TRAINED,
                run=STUDY.base_folder(
                    wildcards.recipe, Member.parse(wildcards.member)
                ),
            )
        ),
    # The run itself is no output, as Snakemake deletes the output of a job whose end it did not see,
    # and a run may end after Snakemake was killed.
    output:
        touch(f"{RUN}/{MARK}"),
    log:
        f"{RESULTS}/logs/train/{{recipe}}-{{key}}/seed-{{member}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{recipe}}-{{key}}/seed-{{member}}.tsv"
    wildcard_constraints:
        recipe="[a-z][a-z0-9_]*",
        key="[0-9a-f]{8}",
        member=MEMBER.pattern.replace("(", "(?:").replace("(?:?:", "(?:"),
    # the longest chain first: an ensemble's prediction waits for its last run
    priority: 1
    threads: 1
    # memory and time are for batch systems
    resources:
        gpu=GPUS_PER_JOB,
        mem_mb=lambda wildcards, attempt: training_resources(
            STUDY, wildcards.recipe, PLAN, GPUS_PER_JOB
        )
        .at(attempt)
        .mem_mb,
        runtime=lambda wildcards, attempt: training_resources(
            STUDY, wildcards.recipe, PLAN, GPUS_PER_JOB
        )
        .at(attempt)
        .minutes,
    params:
        script=ROOT / "workflow/scripts/train.py",
        settings=lambda wildcards: STUDY.run_settings(
            wildcards.recipe, Member.parse(wildcards.member)
        ),
        folder=RUN,
    # a shell command, as the age of a `script:` file would count
    shell:
        "python {params.script:q} --settings {params.settings:q} --arrays {input.arrays:q}"
        " --cases {input.cases:q} --split {input.split:q} --plan {input.plan:q}"
        " --log {log:q} --output {params.folder:q}"
