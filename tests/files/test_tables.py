"""Names that a reader of tables guesses a number, a truth value or nothing from stay names."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cardiouq.data.case_table import read_case_table
from cardiouq.data.split import (
    read_split,
    read_test_set_table,
    read_test_sets,
    select_test_cases,
    split_subjects,
)
from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.evaluation.reading import read_tables
from cardiouq.files.tables import add_columns, read_benchmark, read_rows
from cardiouq.files.writing import atomic_write
from cardiouq.study.schema import filled_in
from tests.paths import ROOT

MISSING_TO_PANDAS = ("NA", "N/A", "n/a", "NULL", "null", "None", "nan", "-NaN", "<NA>", "#N/A")
NUMBERS_TO_PANDAS = ("2020", "001", "1e3", "-inf", "inf", "0x10", "1.0", "1_000", "+7")
OTHERS = ("True", "false", "", " A B ", "a,b", 'the "old" one', "two\nlines", "\ufeffé", "#1", "-")
NAMES = (*MISSING_TO_PANDAS, *NUMBERS_TO_PANDAS, *OTHERS)

SOURCES = (".py", ".smk")
READERS = re.compile(r"pd\.read_|import read_csv|csv\.(Dict)?[rR]eader|genfromtxt|loadtxt")


def case_table(names: tuple[str, ...]) -> pd.DataFrame:
    """A case of each name, called so in every column of text."""
    text = dict.fromkeys(("subject", "visit", "phase", "pathology", "vendor", "centre"), names)
    hashes = [f"{number}" * 8 for number in range(len(names))]
    return pd.DataFrame(
        {"dataset": "NA", "the user's own": names, "case": names, **text}
        | {"part": "training", "image_identity": hashes, "frame": -1, "slices": 7}
        | {"rows": 32, "columns": 32, "spacing_z": 8.0, "spacing_y": 1.4, "spacing_x": 1 / 3}
    )


@pytest.fixture
def cases(tmp_path: Path) -> pd.DataFrame:
    case_table(NAMES).to_csv(tmp_path / "cases.csv", index=False)
    return read_case_table(tmp_path / "cases.csv")


def test_a_case_table_has_its_names_back_in_every_column(cases: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(cases, case_table(NAMES), check_dtype=False)
    assert cases[["slices", "spacing_x"]].dtypes.tolist() == [np.int64, np.float64]


def test_a_case_table_without_the_others_own_columns_has_empty_text_there(tmp_path: Path) -> None:
    table = case_table(NAMES)
    table.to_csv(tmp_path / "cases.csv", index=False)
    table.drop(columns="the user's own").to_csv(tmp_path / "distorted_cases.csv", index=False)
    both = read_case_table(tmp_path / "cases.csv", tmp_path / "distorted_cases.csv")
    assert both["the user's own"].tolist() == [*NAMES, *[""] * len(NAMES)]


def test_scores_have_their_names_and_every_bit_of_their_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=len(NAMES) - 3) * 1e-3, [np.nan, np.inf, 0.1 + 0.2]])
    keys = dict.fromkeys(("method", "test_set", "case", "subject", "vendor", "structure"), NAMES)
    table = pd.DataFrame({**keys, "dice": values, "slice": 3, "predicted_empty": values > 0})
    table.to_csv(tmp_path / "scores.csv", index=False)
    found = read_tables([tmp_path / "scores.csv"])
    pd.testing.assert_frame_equal(found[list(keys)], table[list(keys)], check_dtype=False)
    assert found.groupby("method").ngroups == len(NAMES)
    as_pandas = pd.read_csv(tmp_path / "scores.csv")
    numbers = ["dice", "slice", "predicted_empty"]
    pd.testing.assert_frame_equal(found[numbers], as_pandas[numbers], check_exact=True)
    chosen = read_tables([tmp_path / "scores.csv"], ["NA", "001", "1e3"])
    assert chosen["test_set"].tolist() == ["NA", "001", "1e3"]


@pytest.mark.parametrize("text", ["NA", "nan", "x"])
def test_text_among_numbers_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "summary.csv"
    file.write_text(f"method,value\nswa,0.5\nswa,{text}\n", encoding="utf-8")
    with pytest.raises(CardiouqError, match=f"summary.csv: column value holds .*{text}"):
        read_rows(file)


def test_a_table_without_rows_is_read(tmp_path: Path) -> None:
    (tmp_path / "subjects.csv").write_text("method,reference\n", encoding="utf-8")
    assert read_rows(tmp_path / "subjects.csv").columns.tolist() == ["method", "reference"]


@pytest.mark.parametrize("nothing", ["-", "NA"])
def test_what_snakemake_did_not_measure_is_missing(tmp_path: Path, nothing: str) -> None:
    file = tmp_path / "all.tsv"
    file.write_text(
        f"s\th:m:s\tmax_rss\n0.5\t0:00:00\t{nothing}\n7.5\t0:00:07\t12.25\n", encoding="utf-8"
    )
    found = read_benchmark(file)
    assert found["s"].sum() == 8
    assert found["max_rss"].isna().tolist() == [True, False]


def test_every_subject_is_on_a_side_of_the_split_whatever_it_and_its_pathology_are_called(
    tmp_path: Path, cases: pd.DataFrame
) -> None:
    for pathologies in (("NA", "", "1e3"), ("None", "2020"), ("nan", "null", "<NA>", "N/A")):
        named = cases.assign(pathology=np.resize(pathologies, len(cases)))
        split = split_subjects(named, "NA", 0.4, 0, seed=1)
        assert sorted(split["subject"]) == sorted(NAMES)
        assert set(split.loc[split["split"] == "validation", "pathology"]) == set(pathologies)
        with atomic_write(tmp_path / "split.csv") as temporary:
            split.to_csv(temporary, index=False)
        pd.testing.assert_frame_equal(read_split(tmp_path / "split.csv"), split, check_dtype=False)


@pytest.mark.parametrize("name", ["NA", "null", "001", "1e3", "True", "a,b", ""])
def test_a_test_set_finds_the_cases_of_any_name(
    tmp_path: Path, cases: pd.DataFrame, name: str
) -> None:
    narrowed = {
        "NA": {"dataset": "NA", "vendor": name},
        "null": {"dataset": "NA", "where": {"the user's own": name, "centre": name}},
        "1e3": {"dataset": "NA", "where": {"slices": "7"}},
    }
    split = pd.DataFrame({"dataset": [], "subject": [], "split": []}, dtype=str)
    chosen = select_test_cases(cases, split, filled_in(narrowed, "test_sets"))
    chosen.to_csv(tmp_path / "test_sets.csv", index=False)
    found = read_test_sets([tmp_path / "test_sets.csv"], cases)
    assert [case.case for case in found["NA"]] == [case.case for case in found["null"]] == [name]
    assert [case.case for case in found["1e3"]] == list(NAMES)
    assert read_test_set_table(tmp_path / "test_sets.csv")["case"].tolist()[:2] == [name, name]


def test_a_number_is_no_other_way_of_writing_it(cases: pd.DataFrame) -> None:
    for other in ("1", "1000.0", "na", "True "):
        block = {"dataset": "NA", "vendor": other}
        with pytest.raises(ProblemsError, match="no case matches"):
            select_test_cases(cases, cases, filled_in({"t": block}, "test_sets"))


def test_rows_whose_partner_is_missing_or_not_the_only_one_are_named() -> None:
    rows = pd.DataFrame({"test_set": "t", "case": ["NA", "b", "c"]})
    others = pd.DataFrame({"case": ["c", "NA", "b", "d"], "slices": [3, 1, 2, 4]})
    assert add_columns(rows, others, ["case"], "cases.csv")["slices"].tolist() == [1, 2, 3]
    with pytest.raises(CardiouqError, match=r"cases.csv: no row of case \['NA', 'c'\]"):
        add_columns(rows, others.iloc[2:], ["case"], "cases.csv")
    with pytest.raises(CardiouqError, match=r"cases.csv: several rows of case \['NA'\]"):
        add_columns(rows, pd.concat([others, others.iloc[[1]]]), ["case"], "cases.csv")


def test_no_other_part_of_the_program_reads_tables_itself() -> None:
    """Users' own tables, which have any separator and encoding, have a reader of their own."""
    folders = (ROOT / name for name in ("src", "workflow", "benchmarks"))
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in SOURCES]
    assert len(files) > 100
    read = {path.name for path in files if READERS.search(path.read_text(encoding="utf-8"))}
    assert read == {"tables.py", "layouts.py"}
