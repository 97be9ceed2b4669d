"""Rule split_subjects: the subject-level split, and the cases of each test set."""

from cardiouq.data.cases import read_case_table
from cardiouq.data.split import check_split, select_test_cases, split_subjects
from cardiouq.errors import reported_to_user
from cardiouq.files.writing import written_whole

with reported_to_user(snakemake.log[0]):
    cases = read_case_table(snakemake.input.cases)
    settings = snakemake.params.split
    split = split_subjects(
        cases,
        settings["dataset"],
        settings["validation_fraction"],
        snakemake.params.seed,
        settings.get("test_fraction", 0.0),
    )
    check_split(split)
    test_sets = select_test_cases(cases, split, snakemake.params.test_sets)
    for table, path in ((split, snakemake.output.split), (test_sets, snakemake.output.test_sets)):
        with written_whole(path) as temporary:
            table.to_csv(temporary, index=False)
