"""Evaluation: predictions to scores, one job per method."""


rule evaluate:
    input:
        predictions=expand(
            f"{RESULTS}/prediction/{{{{method}}}}/{{test_set}}", test_set=TEST_SETS
        ),
        samples=f"{RESULTS}/prediction/{{method}}/samples.csv",
        cases=f"{RESULTS}/data/cases.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
        # Snakemake does not see what a script imports: a changed metric is to be computed again.
        code=expand(
            f"{workflow.basedir}/src/cardiouq/{{module}}.py",
            module=[
                "data/scans",
                "evaluation/calibration",
                "evaluation/overlap",
                "evaluation/scoring",
                "evaluation/volumes",
            ],
        ),
    output:
        scores=f"{RESULTS}/evaluation/{{method}}/scores.csv",
        calibration=f"{RESULTS}/evaluation/{{method}}/calibration.csv",
    log:
        f"{RESULTS}/logs/evaluation/evaluate/{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{method}}.tsv"
    conda:
        "../../envs/environment.yaml"
    params:
        settings=STUDY["evaluation"],
    script:
        "../scripts/evaluate.py"
