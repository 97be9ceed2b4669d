"""Texts in the report are text, and read back as they were written."""

import re

from docutils.core import publish_doctree

from cardiouq.reporting.shown import as_written, in_report


def test_text_is_the_same_behind_the_escapes_of_the_report(hostile: list[str]) -> None:
    value = {"of": hostile, "number": 1.5, "none": None, "nested": [{"label": hostile[0]}]}
    escaped = in_report(value)
    assert as_written(escaped) == value
    for text in escaped["of"]:
        assert not re.search("</script|<!--", text)
        plain = publish_doctree(f"{text}: {text}", settings_overrides={"halt_level": 1}).astext()
        assert plain.split() == f"{as_written(text)}: {as_written(text)}".split()
    assert as_written("results/a-b/data.csv") == "results/a-b/data.csv"
