"""Reporting: every test case to leaf through."""

from cardiouq.reporting.viewer import TABLES as VIEWED


rule view_cases:
    """Make a viewer of every test case, with what each method makes of it."""
    input:
        **TESTED,
        **{name: scores_of(name) for name in VIEWED},
        predictions=predictions_of(TEST_SETS),
    output:
        directory(f"{RESULTS}/reporting/cases"),
    log:
        f"{RESULTS}/logs/reporting/view_cases.log",
    benchmark:
        f"{RESULTS}/benchmarks/view_cases/all.tsv"
    params:
        **compared(code_of("view_cases", CAPTIONS / "view_cases.rst")),
        title=lambda wildcards: escaped(STUDY["title"]),
    script:
        "../scripts/view_cases.py"


PRODUCTS += rules.view_cases.output
