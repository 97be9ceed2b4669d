"""Reporting: the report, which holds all that the study shows."""


rule write_report:
    """Write the study's answer, all tables, figures and pages into one file."""
    input:
        **TESTED,
        summary=f"{EVALUATION}/summary.csv",
        comparisons=f"{EVALUATION}/comparisons.csv",
        cost=f"{TABLES}/cost.csv",
        verdict=f"{TABLES}/verdict.csv" if f"{TABLES}/verdict" in TABLE_TITLES else [],
        data=rules.data_page.output.html,
        provenance=rules.write_provenance.output.html,
        tables=expand("{path}.html", path=TABLE_TITLES),
        figures=expand("{path}.{form}", path=FIGURE_TITLES, form=["png", "txt"]),
    output:
        html=f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/reporting/write_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_report/all.tsv"
    params:
        **compared(code_of("write_report", CAPTIONS / "report.rst")),
        title=lambda wildcards: escaped(STUDY["title"]),
        note=lambda wildcards: escaped(STUDY["note"] if "note" in STUDY else ""),
        domains=DOMAINS,
        confidence=STUDY["evaluation"]["bootstrap"]["confidence"],
        table_titles=TABLE_TITLES,
        figure_titles=FIGURE_TITLES,
        # a page beside the report, which leads to it
        viewer=f"{RESULTS}/reporting/cases/index.html",
    script:
        "../scripts/write_report.py"
