"""Captions: filled in from the rule's parameters, with the numbers of volumes and subjects."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import UndefinedError

from cardiouq.reporting.captions import count_volumes, render_caption


def test_volumes_and_subjects_are_counted_in_order(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(
        "case,subject\na_ED,a\na_ES,a\nb_ED,b\nc_ED,c\n", encoding="utf-8"
    )
    (tmp_path / "sets.csv").write_text(
        "test_set,case\nood,c_ED\nid,a_ED\nid,a_ES\nid,b_ED\n", encoding="utf-8"
    )
    words = count_volumes(
        tmp_path / "cases.csv", tmp_path / "sets.csv", {"id": "Val (ID)", "ood": "B (OOD)"}
    )
    assert words == "Val (ID): 3 volumes of 2 subjects, B (OOD): 1 volume of 1 subject"


def test_caption_is_one_line_of_filled_in_text(tmp_path: Path) -> None:
    template = tmp_path / "caption.rst"
    template.write_text("Dice ±\n{{ snakemake.params.counts }}.\n", encoding="utf-8")
    snakemake = SimpleNamespace(params=SimpleNamespace(counts="3 volumes"))
    assert render_caption(template, snakemake) == "Dice ± 3 volumes."


def test_unknown_parameter_is_an_error(tmp_path: Path) -> None:
    template = tmp_path / "caption.rst"
    template.write_text("{{ snakemake.params.nothing }}", encoding="utf-8")
    with pytest.raises(UndefinedError, match="nothing"):
        render_caption(template, SimpleNamespace(params=SimpleNamespace()))
