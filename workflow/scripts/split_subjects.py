"""Rule split_subjects: the subject-level split, and the cases of each test set."""

from cardiouq.data.case_table import read_case_table
from cardiouq.data.split import check_split, select_test_cases, split_subjects
from cardiouq.errors import reported_to_user
from cardiouq.files.writing import atomic_write
from cardiouq.study.schema import filled_in

with reported_to_user(snakemake.log[0]):
    cases = read_case_table(snakemake.input.cases)
    settings = filled_in(snakemake.params.split, "split")
    split = split_subjects(cases, **settings, seed=snakemake.params.seed)
    check_split(split)
    wanted = filled_in(snakemake.params.test_sets, "test_sets")
    test_sets = select_test_cases(cases, split, wanted)
    for table, path in ((split, snakemake.output.split), (test_sets, snakemake.output.test_sets)):
        with atomic_write(path) as temporary:
            table.to_csv(temporary, index=False)
