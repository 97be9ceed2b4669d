"""The table of verdicts, as it is printed."""

from cardiouq.reporting.printing import NOTHING, to_html, to_latex, to_markdown
from cardiouq.reporting.tables.verdict import print_verdict
from tests.reporting.tables.judged import equal_summary, judge, settings


def test_the_verdict_is_printed_with_labels_and_without_gaps() -> None:
    study = settings("zhao2022")
    del study["methods"]["swa"]
    verdict = judge(study, equal_summary(study).query("method != 'swa'"))
    methods = {name: block["label"] for name, block in study["methods"].items()}
    test_sets = {name: block["label"] for name, block in study["test_sets"].items()}
    table = print_verdict(verdict, methods, test_sets, "Paper versus ours")
    texts = [[cell.text for cell in row] for row in table.rows]
    first = ["1", "dice RV", "Vanilla", "ACDC validation (ID)", "0.911", "0.911", "[0.91, 0.912]"]
    assert texts[0] == [*first, "1", "yes", "reproduced", ""]
    of_swa = texts[verdict["method"].tolist().index("swa")]
    assert of_swa[2] == "swa"  # has no label, as it is not in the study
    assert of_swa[5:8] == [NOTHING, NOTHING, NOTHING]
    assert of_swa[8:] == ["", "not comparable", "method swa is not in this study"]
    assert texts[-1][2] == "Ckpt. Ens. (Multi) vs. Ckpt. Ens. (Single)"
    assert texts[-1][4:7] == ["-0.08", "-0.08", "[-0.0809, -0.0791]"]
    assert {len(row) for row in texts} == {len(table.columns)} == {11}
    for written in (to_markdown(table), to_latex(table), to_html(table)):
        assert "nan" not in written.lower()
        assert "Reason" in written
