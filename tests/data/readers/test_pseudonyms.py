"""Participants of UK Biobank stand under pseudonyms, and their ids nowhere."""

from pathlib import Path
from typing import Any

import nibabel as nib
import pytest

from cardiouq.data.cases import make_case_table
from cardiouq.data.distorted import distort_cases
from cardiouq.data.plan import Plan
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.readers.pseudonyms import folder_of, on_disk, participants, pseudonym
from cardiouq.data.readers.scans import open_scan, read_label
from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.files.writing import visible
from cardiouq.structures import label_of

IDS = ("1000013", "1000024")


def table_of(ukbb: Any) -> Any:
    for participant in IDS:
        ukbb.add(participant)
    return make_case_table({"ukbb": DataFolder("ukbb", ukbb.root)})


def test_the_case_table_says_no_id_and_its_scans_can_be_read(ukbb: Any) -> None:
    table = table_of(ukbb)
    assert not any(participant in table.to_csv() for participant in IDS)
    assert sorted(set(table["subject"])) == sorted(participants(ukbb.root))
    assert table["phase"].tolist() == ["ED", "ES"] * 2
    label = read_label(next(table.itertuples()))
    assert [label[1, 5, column] for column in (3, 6, 9)] == [
        label_of("LV"),
        label_of("MYO"),
        label_of("RV"),
    ]


def test_pseudonyms_depend_on_the_key_and_lead_back_to_the_folder(ukbb: Any) -> None:
    ukbb.add(IDS[0])
    key = (ukbb.root / "pseudonym.key").read_bytes()
    name = pseudonym(key, IDS[0])
    assert name != pseudonym(key[::-1], IDS[0])
    assert on_disk(ukbb.root / name / "sa_ED.nii.gz") == ukbb.root / IDS[0] / "sa_ED.nii.gz"
    assert folder_of(ukbb.root, name) == ukbb.root / IDS[0]


@pytest.mark.parametrize("unknown", ["p000000000000", IDS[0], ""])
def test_pseudonym_of_no_participant_is_an_error_that_says_no_id(ukbb: Any, unknown: str) -> None:
    for participant in IDS:
        ukbb.add(participant)
    with pytest.raises(CardiouqError, match=f"none of 2 participants .* {unknown!r}") as caught:
        folder_of(ukbb.root, unknown)
    assert not any(i in str(caught.value) for i in IDS if i != unknown)


def test_participants_without_a_label_are_left_out_with_a_count(
    ukbb: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ukbb.add("1000035", labelled=False)
    with caplog.at_level("INFO"):
        table = table_of(ukbb)
    assert table["subject"].nunique() == 2
    assert "1 participant(s) without a label are left out" in caplog.text


@pytest.mark.parametrize("damage", ["truncate", "text", "unlink"])
def test_errors_name_the_pseudonym(ukbb: Any, damage: str) -> None:
    ukbb.add(IDS[0])
    file = ukbb.add(IDS[1]) / "sa_ES.nii.gz"
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "text":
        file.write_text("404", encoding="utf-8")
    else:
        file.unlink()
    with pytest.raises(ProblemsError) as caught:
        make_case_table({"ukbb": DataFolder("ukbb", ukbb.root)})
    name = pseudonym((ukbb.root / "pseudonym.key").read_bytes(), IDS[1])
    [problem] = caught.value.problems
    assert problem.startswith(f"{ukbb.root / name / 'sa_ES.nii.gz'}: ")
    assert IDS[1] not in str(caught.value)


@pytest.mark.parametrize("key", [None, "short"])
def test_without_a_key_nothing_is_read(ukbb: Any, key: str | None) -> None:
    ukbb.add(IDS[0])
    file = ukbb.root / "pseudonym.key"
    file.unlink()
    if key:
        file.write_text(key, encoding="utf-8")
    with pytest.raises(CardiouqError, match="openssl rand -hex 32") as caught:
        make_case_table({"ukbb": DataFolder("ukbb", ukbb.root)})
    assert IDS[0] not in str(caught.value)


def test_what_is_written_has_no_free_text_of_the_scan(
    ukbb: Any, plan: Plan, tmp_path: Path
) -> None:
    table = table_of(ukbb)
    header = open_scan(table["image"][0], 3).header
    assert b"participant 1000" in header["descrip"].item()
    assert header.extensions
    test_sets = {"t+noise-1": {"kind": "noise", "place": 1, "degree": 0.1}}
    folder = tmp_path / "distorted"
    folder.mkdir()
    distort_cases(table, test_sets, plan, seed=1, folder=folder)
    written = visible(folder.iterdir())
    assert len(written) == 4 * 3
    for path in written:
        content = path.name.encode() + path.read_bytes()
        if path.name.endswith(".nii.gz"):
            image = nib.load(path)
            content += image.header.binaryblock
            assert not image.header.extensions
        assert not any(participant.encode() in content for participant in IDS)
