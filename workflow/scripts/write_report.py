"""Rule write_report: the answer, all tables, figures and pages of a study in one file."""

from pathlib import Path

from cardiouq.errors import reported_to_user
from cardiouq.files.reading import read
from cardiouq.files.tables import read_rows
from cardiouq.files.writing import atomic_write
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.report.page import Picture, PrintedFile, make_report
from cardiouq.reporting.report.summary import summarise_test_sets
from cardiouq.reporting.shown import unescaped
from cardiouq.reporting.tables.verdict import count_verdicts, read_verdict

with reported_to_user(snakemake.log[0]):
    files, params = snakemake.input, snakemake.params
    folder = Path(snakemake.output.html).parent

    def beside(path: str) -> str:
        """A path from the report's folder, for links."""
        return Path(path).relative_to(folder).as_posix()

    page = make_report(
        title=unescaped(params.title),
        about=render_caption("report.rst", snakemake),
        note=unescaped(params.note),
        summaries=summarise_test_sets(
            read_rows(files.summary),
            read_rows(files.comparisons),
            read_rows(files.cost),
            unescaped(params.methods),
            unescaped(params.test_sets),
            params.domains,
        ),
        confidence=params.confidence,
        verdict=list(count_verdicts(read_verdict(files.verdict))) if files.verdict else [],
        tables=[
            PrintedFile(title, beside(path), read(f"{path}.html").decode())
            for path, title in params.table_titles.items()
        ],
        figures=[
            Picture(title, beside(path), read(f"{path}.txt").decode(), read(f"{path}.png"))
            for path, title in params.figure_titles.items()
        ],
        pages={
            "Data: every subject, and what is odd": read(files.data).decode(),
            "Provenance: code, data, packages, machines": read(files.provenance).decode(),
        },
        viewer=beside(params.viewer),
    )
    with atomic_write(snakemake.output.html) as temporary:
        temporary.write_text(page, encoding="utf-8")
