"""Prediction: from a method's runs to its probabilities, uncertainty and segmentations."""

PREDICTED = [*METHODS, *STUDY.repeats]


rule predict:
    """Predict every test set with the runs of one method."""
    input:
        runs=lambda wildcards: expand(TRAINED, run=STUDY.run_folders(wildcards.method)),
        arrays=predicted(ARRAYS),
        cases=predicted(CASE_TABLES),
        split=rules.split_subjects.output.split,
        test_sets=predicted(TEST_SET_TABLES),
        plan=rules.make_plan.output.plan,
        none=run_if_asked_otherwise(
            f"{RESULTS}/prediction/{{method}}/samples.csv", STUDY.asked
        ),
    output:
        predictions=directory(predictions_of([*TEST_SETS, *DISTORTED], "{method}")),
        samples=f"{RESULTS}/prediction/{{method}}/samples.csv",
        activations=f"{RESULTS}/prediction/{{method}}/activations.csv",
        fitted=f"{RESULTS}/prediction/{{method}}/fitted.json",
    log:
        f"{RESULTS}/logs/predict/{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict/{{method}}.tsv"
    wildcard_constraints:
        method="|".join(METHODS),
    threads: 1
    # memory and time are for batch systems
    resources:
        gpu=GPUS_PER_JOB,
        mem_mb=lambda wildcards, attempt: prediction_needs(wildcards).at(attempt).mem_mb,
        runtime=lambda wildcards, attempt: prediction_needs(wildcards)
        .at(attempt)
        .minutes,
    params:
        script=ROOT / "workflow/scripts/predict.py",
        settings=lambda wildcards: STUDY.prediction_settings(wildcards.method),
        folder=f"{RESULTS}/prediction/{{method}}",
    # a shell command, as the age of a `script:` file would count
    shell:
        "python {params.script:q} --settings {params.settings:q} --runs {input.runs:q}"
        " --arrays {input.arrays:q} --cases {input.cases:q} --split {input.split:q}"
        " --test-sets {input.test_sets:q} --plan {input.plan:q} --log {log:q}"
        " --output {params.folder:q}"


if STUDY.repeats:

    use rule predict as predict_repeat with:
        """Predict every test set but the distorted ones with the runs of a repeat."""
        output:
            predictions=directory(predictions_of(TEST_SETS, "{method}")),
            samples=f"{RESULTS}/prediction/{{method}}/samples.csv",
            activations=f"{RESULTS}/prediction/{{method}}/activations.csv",
            fitted=f"{RESULTS}/prediction/{{method}}/fitted.json",
        wildcard_constraints:
            method="|".join(STUDY.repeats),
