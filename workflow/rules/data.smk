# From scans on disk to the case table, the split, the plan and arrays.


if any(dataset["source"] == "phantom" for dataset in STUDY["datasets"].values()):

    rule make_phantom:
        output:
            directory(f"{RESULTS}/data/phantom"),
        params:
            settings=STUDY["phantom"],
            seed=STUDY["seed"],
        log:
            f"{RESULTS}/logs/make_phantom.log",
        benchmark:
            f"{RESULTS}/benchmarks/make_phantom.tsv"
        conda:
            "../../envs/environment.yaml"
        script:
            "../scripts/make_phantom.py"


rule list_cases:
    input:
        STUDY.scan_files(),
    output:
        cases=f"{RESULTS}/data/cases.csv",
    params:
        roots=STUDY.roots(),
    log:
        f"{RESULTS}/logs/list_cases.log",
    benchmark:
        f"{RESULTS}/benchmarks/list_cases.tsv"
    conda:
        "../../envs/environment.yaml"
    script:
        "../scripts/list_cases.py"


rule split_subjects:
    input:
        cases=rules.list_cases.output.cases,
    output:
        split=f"{RESULTS}/data/split.csv",
        test_sets=f"{RESULTS}/data/test_sets.csv",
    params:
        split=STUDY["split"],
        test_sets=STUDY["test_sets"],
        seed=STUDY["seed"],
    log:
        f"{RESULTS}/logs/split_subjects.log",
    benchmark:
        f"{RESULTS}/benchmarks/split_subjects.tsv"
    conda:
        "../../envs/environment.yaml"
    script:
        "../scripts/split_subjects.py"


rule make_plan:
    input:
        cases=rules.list_cases.output.cases,
        split=rules.split_subjects.output.split,
    output:
        plan=f"{RESULTS}/data/plan.json",
    params:
        plan=STUDY["plan"],
    log:
        f"{RESULTS}/logs/make_plan.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_plan.tsv"
    conda:
        "../../envs/environment.yaml"
    script:
        "../scripts/make_plan.py"


rule preprocess:
    input:
        cases=rules.list_cases.output.cases,
        plan=rules.make_plan.output.plan,
    output:
        arrays=directory(f"{RESULTS}/data/preprocessed"),
    params:
        training_dataset=STUDY["split"]["dataset"],
    log:
        f"{RESULTS}/logs/preprocess.log",
    benchmark:
        f"{RESULTS}/benchmarks/preprocess.tsv"
    conda:
        "../../envs/environment.yaml"
    script:
        "../scripts/preprocess.py"
