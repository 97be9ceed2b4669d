"""Reporting: where all of it comes from."""

import json

from cardiouq.reporting.shown import own_code


# Benchmarks and the machines of runs are files that no rule puts out: they are read where they are.
rule write_provenance:
    """Write down which code, settings, data, packages and machines all results come from."""
    input:
        products=PRODUCTS,
        summaries=SUMMARIES,
        runs=expand(TRAINED, run=STUDY.all_run_folders().values()),
    output:
        json=shown(
            f"{RESULTS}/provenance.json", "provenance", "Provenance", provenance="JSON"
        ),
        html=shown(
            f"{RESULTS}/reporting/provenance.html",
            "provenance",
            "Provenance",
            provenance="printed",
        ),
    log:
        f"{RESULTS}/logs/reporting/write_provenance.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_provenance/all.tsv"
    params:
        code=code_of("write_provenance", CAPTIONS / "provenance.rst"),
        title=lambda wildcards: escaped(STUDY["title"]),
        settings=lambda wildcards: escaped(
            json.dumps(
                SETTINGS
                | own_code(STUDY.written)
                | STUDY.models()
                # by which the verdict says what is comparable
                | ({"paper": COMPLETE_SETTINGS["paper"]} if PAPER else {})
            )
        ),
        runs=STUDY.all_run_folders(),
        predicted=PREDICTED,
    script:
        "../scripts/write_provenance.py"
