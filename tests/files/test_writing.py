"""Files and folders are written whole or not at all."""

import os
import tempfile
from pathlib import Path

import pytest

from cardiouq.errors import CardiouqError
from cardiouq.files.writing import HASHES_FILE, atomic_folder, atomic_write, check_writable


def test_leftovers_of_a_killed_write_go_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / ".partial-1-folder").mkdir()
    for name in (".partial-1-folder/half", ".partial-1-table.csv", ".partial-1-other-table.csv"):
        (tmp_path / name).write_text("half", encoding="utf-8")
    with atomic_write(tmp_path / "table.csv") as temporary:
        temporary.write_text("whole", encoding="utf-8")
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "file").write_text("whole", encoding="utf-8")
    names = {path.name for path in tmp_path.iterdir()}
    others = {".partial-1-other-table.csv", ".table.csv.sha256"}
    assert names == {"table.csv", "folder"} | others
    assert {path.name for path in (tmp_path / "folder").iterdir()} == {"file", HASHES_FILE}


@pytest.mark.parametrize("is_there", [True, False])
def test_folder_that_a_link_leads_to_is_replaced_and_the_link_stays(
    tmp_path: Path, is_there: bool
) -> None:
    (tmp_path / "v3").mkdir()
    if is_there:
        (tmp_path / "v3/current").mkdir()
        (tmp_path / "v3/current/old").touch()
    (tmp_path / "current").symlink_to("v3/current")
    for name in ("one", "two"):
        with atomic_folder(tmp_path / "current") as temporary:
            (temporary / name).touch()
    assert (tmp_path / "current").readlink() == Path("v3/current")
    assert {path.name for path in (tmp_path / "current").iterdir()} == {"two", HASHES_FILE}
    assert {path.name for path in tmp_path.rglob("*")} - {"two", HASHES_FILE} == {"v3", "current"}


def test_leftover_that_is_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").touch()
    (tmp_path / ".partial-1-folder").symlink_to("elsewhere")
    with atomic_folder(tmp_path / "folder"):
        pass
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert names == {"elsewhere", "elsewhere/kept", "folder", f"folder/{HASHES_FILE}"}


def test_failed_folder_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError), atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "file").write_text("half", encoding="utf-8")
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_earlier_versions_and_other_hosts_are_removed(tmp_path: Path) -> None:
    names = (".partial-1-table.csv", f".partial-{os.getpid()}-table.csv", ".partial-0af3-table.csv")
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / ".partial-77-folder").mkdir()
    (tmp_path / ".partial-1-another-table.csv").touch()  # another's, which may be at work
    with atomic_write(tmp_path / "table.csv") as temporary:
        temporary.touch()
    with atomic_folder(tmp_path / "folder") as temporary:
        pass
    others = {".partial-1-another-table.csv", ".table.csv.sha256"}
    assert {path.name for path in tmp_path.iterdir()} == {"table.csv", "folder"} | others


def test_file_in_the_place_of_a_folder_is_no_folder_to_replace(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "kept").touch()
    with pytest.raises(IsADirectoryError), atomic_write(tmp_path / "results") as temporary:
        temporary.touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["results", "kept"]


def fill(place: Path, kind: str) -> None:
    """Put something that is no folder in a folder's place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        place.touch()
    else:
        place.symlink_to(place.name if kind == "loop" else "/media/disk")


@pytest.mark.parametrize("kind", ["file", "link", "loop"])
@pytest.mark.parametrize(
    "place",
    [
        "results",
        "results/demo",
        "results/demo/training",
        ".snakemake",
        ".snakemake/locks",
        ".snakemake/metadata",
    ],
)
def test_what_is_no_folder_in_a_folder_s_place_is_named(
    tmp_path: Path, place: str, kind: str
) -> None:
    fill(tmp_path / place, kind)
    found = {"file": "is a file", "link": "is a link to /media/disk", "loop": "is a link to"}[kind]
    with pytest.raises(CardiouqError, match=f"{place}: {found}.*; expected a folder"):
        check_writable(tmp_path / "results" / "demo" / "training", tmp_path / place / "notes")
    assert not any(path.is_dir() for path in (tmp_path / place, tmp_path / place / "notes"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act for another user")
@pytest.mark.parametrize("place", ["results", "results/demo/data", ".snakemake", ".snakemake/log"])
def test_folder_of_another_user_is_named(place: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is for one user's eyes
        Path(folder).chmod(0o755)
        (Path(folder) / place).mkdir(parents=True)
        os.seteuid(65534)
        try:
            with pytest.raises(CardiouqError) as caught:
                check_writable(Path(folder, place, "new", "folder"))
        finally:
            os.seteuid(0)
        assert f"{folder}/{place}: may not be written to (Permission denied)" in str(caught.value)
        assert "--directory" in str(caught.value)
