"""Inputs, outputs of one kind, and parameters that rules of several files share."""

from snakemake.settings.types import RerunTrigger

from cardiouq.files.asked import is_as_asked
from cardiouq.progress.estimates import evaluation_resources, prediction_resources
from cardiouq.provenance.code import code_of
from cardiouq.reporting.captions import (
    CAPTIONS,
    count_cases,
    count_volumes,
    name_phases,
)
from cardiouq.reporting.shown import escaped, escaped_labels

TABLES = f"{RESULTS}/reporting/tables"
FIGURES = f"{RESULTS}/reporting/figures"
# What `all` asks for and write_provenance describes: every form of each table, figure and page.
PRODUCTS = []
# Path of a table or figure without suffix -> its title; the report has them in this order.
TABLE_TITLES, FIGURE_TITLES = {}, {}
METHOD_LABELS = escaped_labels(STUDY["methods"])
TEST_SET_LABELS = escaped_labels(STUDY["test_sets"])
TESTED = {
    "cases": f"{RESULTS}/data/cases.csv",
    "test_sets": f"{RESULTS}/data/test_sets.csv",
}


def scores_of(table, methods=METHODS):
    """A table of scores of each method."""
    return expand(f"{RESULTS}/evaluation/{{method}}/{table}.csv", method=methods)


def predictions_of(test_sets, methods=METHODS):
    """Folders of each method's predictions on test sets."""
    folder = f"{RESULTS}/prediction/{{method}}/{{test_set}}"
    return expand(folder, method=methods, test_set=test_sets)


def predicted(parts):
    """Input: of a part for own scans and one for distorted ones, those that a method predicts."""
    return lambda wildcards: (
        parts if STUDY.predicts_distorted(wildcards.method) else parts[:1]
    )


def run_if_asked_otherwise(product, asked):
    """Input: no file; a job is run whose product is there and was asked for otherwise, as
    Snakemake compares parameters with notes of its own, and copied results may come without.
    """

    def no_file(wildcards):
        [file] = expand(product, method=wildcards.method)
        try:
            is_to_run = not is_as_asked(Path(file).parent, asked(wildcards.method))
        except CardiouqError as error:
            sys.exit(f"\nERROR: {error}\n")
        if is_to_run and RerunTrigger.PARAMS in workflow.rerun_triggers:
            # as Snakemake itself does with what is incomplete
            workflow.dag.forcefiles.add(file)
        return []

    return no_file


def prediction_needs(wildcards):
    """Memory and time of a prediction."""
    tables = predicted(TEST_SET_TABLES)(wildcards)
    split = rules.split_subjects.output.split
    return prediction_resources(
        STUDY, wildcards.method, PLAN, tables, GPUS_PER_JOB, split
    )


def evaluation_needs(wildcards):
    """Memory and time of an evaluation."""
    tables = predicted(TEST_SET_TABLES)(wildcards)
    return evaluation_resources(STUDY, wildcards.method, PLAN, tables)


def counted(test_sets=TEST_SET_LABELS):
    """Parameter: how many volumes and subjects of `TESTED` each test set holds."""
    return lambda wildcards, input: count_volumes(
        input.cases, input.test_sets, test_sets
    )


def compared(code, test_sets=TEST_SET_LABELS):
    """Parameters of a script that shows all methods on test sets."""
    return {
        "code": code,
        "methods": METHOD_LABELS,
        "test_sets": test_sets,
        "seed": STUDY["seed"],
        "counts": counted(test_sets),
    }


def shown(path, caption, category, **labels):
    """Output that the report shows above the caption of that name."""
    caption = f"../report/{caption}.rst"
    return report(path, caption=caption, category=category, labels=labels)


def table(name, title):
    """Outputs of a rule that prints a table; the report shows all forms but Markdown."""
    path = f"{TABLES}/{name}"
    TABLE_TITLES[path] = title
    forms = {"html": "printed", "csv": "CSV", "tex": "LaTeX"}
    PRODUCTS.extend(expand(f"{path}.{{form}}", form=[*forms, "md"]))
    return {"md": f"{path}.md"} | {
        form: shown(f"{path}.{form}", name, "Tables", table=title, form=called)
        for form, called in forms.items()
    }


def figure(name, title, file=None, **wildcards):
    """Outputs of a rule that draws a figure, or one for each value of a wildcard; `file` is
    what it is called, unless as the figure."""
    path = f"{FIGURES}/{file or name}"
    FIGURE_TITLES.update(zip(expand(path, **wildcards), expand(title, **wildcards)))
    PRODUCTS.extend(expand(f"{path}.{{form}}", form=["png", "pdf", "txt"], **wildcards))
    png = shown(f"{path}.png", f"figure_{name}", "Figures", figure=title)
    return {"png": png, "pdf": f"{path}.pdf", "txt": f"{path}.txt"}


def drawn(name):
    """Parameter: the code of a figure's script, with its caption."""
    return code_of(f"figure_{name}", CAPTIONS / f"figure_{name}.rst")
