"""Captions: filled in from the rule's parameters, with the numbers of volumes and subjects."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import UndefinedError

from cardiouq.evaluation.quality_control import N_SLICES, N_SUBJECTS, SECONDS
from cardiouq.reporting.captions import count_cases, count_volumes, name_phases, render_caption
from tests.paths import ROOT
from tests.reporting.reviewed import METHODS, POOR


def test_volumes_and_subjects_are_counted_in_order(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(
        "case,subject,ignored_voxels\na_ED,a,0\na_ES,a,0\nb_ED,b,0\nc_ED,c,0\n", encoding="utf-8"
    )
    (tmp_path / "sets.csv").write_text(
        "test_set,case\nood,c_ED\nid,a_ED\nid,a_ES\nid,b_ED\n", encoding="utf-8"
    )
    words = count_volumes(
        tmp_path / "cases.csv", tmp_path / "sets.csv", {"id": "Val (ID)", "ood": "B (OOD)"}
    )
    assert words == "Val (ID): 3 volumes of 2 subjects, B (OOD): 1 volume of 1 subject"


def test_volumes_that_are_annotated_in_part_are_counted(tmp_path: Path) -> None:
    rows = ["a_ED,a,0", "a_ES,a,7", "b_ED,b,12", "a_ED+blur-1,a,0", "a_ES+blur-1,a,7"]
    (tmp_path / "cases.csv").write_text(
        "\n".join(["case,subject,ignored_voxels", *rows]), encoding="utf-8"
    )
    (tmp_path / "sets.csv").write_text(
        "test_set,case\nid,a_ED\nid,a_ES\nood,a_ED\n", encoding="utf-8"
    )
    words = count_volumes(tmp_path / "cases.csv", tmp_path / "sets.csv", {"id": "In", "ood": "Out"})
    assert words == ("In: 2 volumes of 1 subject (1 annotated in part), Out: 1 volume of 1 subject")
    assert count_cases(tmp_path / "cases.csv") == ("3 volumes of 2 subjects (2 annotated in part)")


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        ("ED ES ED", " at ED and ES"),
        ("ES ES ES", " at ES"),
        (",,", ""),
        ("a b c", " at a, b and c"),
    ],
)
def test_phases_are_those_that_the_tested_volumes_have(
    phases: str, words: str, tmp_path: Path
) -> None:
    rows = [f"{n},{phase}" for n, phase in enumerate([*re.split("[ ,]", phases), "other"])]
    (tmp_path / "cases.csv").write_text("\n".join(["case,phase", *rows]), encoding="utf-8")
    (tmp_path / "sets.csv").write_text("test_set,case\nid,0\nid,1\nood,2\n", encoding="utf-8")
    assert name_phases(tmp_path / "cases.csv", tmp_path / "sets.csv") == words


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


def caption(name: str, **params: Any) -> str:
    common = {"seed": 3, "counts": "4 volumes of 2 subjects", "methods": METHODS}
    snakemake = SimpleNamespace(params=SimpleNamespace(**common, **params))
    return render_caption(ROOT / "workflow/report" / name, snakemake)


def test_captions_say_limits_constants_and_what_one_sample_is() -> None:
    table = caption(
        "quality_control.rst",
        title="A study",
        evaluation={"poor": POOR, "bootstrap": {"confidence": 0.95}},
    )
    figure = caption("figure_quality_control.rst", poor=POOR)
    for text in (table, figure):
        assert "RV 1.88, MYO 1.19, LV 1.17" in text
        assert "One sample: no ranking" in text
        assert "5 % of all" in text
        assert "4 volumes of 2 subjects" in text
    assert f"{N_SUBJECTS:,} subjects with {N_SLICES} slices each, {SECONDS} s for" in table
    assert "poor with the method of the row" in figure


@pytest.mark.parametrize(("bins", "words"), [(100, "in 20 bins"), (15, "in 15 bins")])
def test_reliability_is_drawn_in_no_more_bins_than_the_study_s(bins: int, words: str) -> None:
    ece = {"box": "reference", "bins": bins}
    assert words in caption("figure_reliability.rst", n_shown=20, minimum_voxels=50, ece=ece)
