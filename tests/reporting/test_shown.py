"""Texts in the report are text, and read back as they were written."""

import re

from docutils.core import publish_doctree

from cardiouq.reporting.shown import escaped, unescaped


def test_text_is_the_same_behind_the_escapes_of_the_report(hostile: list[str]) -> None:
    value = {"of": hostile, "number": 1.5, "none": None, "nested": [{"label": hostile[0]}]}
    shown = escaped(value)
    assert unescaped(shown) == value
    for text in shown["of"]:
        assert not re.search("</script|<!--", text)
        plain = publish_doctree(f"{text}: {text}", settings_overrides={"halt_level": 1}).astext()
        assert plain.split() == f"{unescaped(text)}: {unescaped(text)}".split()
    assert unescaped("results/a-b/data.csv") == "results/a-b/data.csv"
