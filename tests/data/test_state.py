"""The state of a data set changes with everything that its cases are made from, and with nothing
else."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardiouq.data.cases import make_case_table
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.state import state_of

LONG_AGO = 10**9


def state(root: Path, layout: str = "acdc", **options: Any) -> str:
    return state_of(DataFolder(layout, root, **options))


def corrected(folder: Path) -> None:
    """A label of the same size with an older date, as an archive keeps it."""
    file = folder / "patient001_frame01_gt.nii.gz"
    content = bytearray(file.read_bytes())
    content[4] ^= 1  # the time of packing
    file.write_bytes(content)
    os.utime(file, (LONG_AGO, LONG_AGO))


def replaced(folder: Path) -> None:
    """Another content of the same date."""
    file = folder / "patient001_frame09.nii.gz"
    before = file.stat()
    file.write_bytes(file.read_bytes() + bytes(8))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def renamed_group(folder: Path) -> None:
    """The text changes; its size and its date do not."""
    info = folder / "Info.cfg"
    before = info.stat()
    info.write_text(info.read_text(encoding="utf-8").replace("NOR", "DCM"), encoding="utf-8")
    os.utime(info, ns=(before.st_atime_ns, before.st_mtime_ns))


def removed(folder: Path) -> None:
    (folder / "patient001_frame01.nii.gz").unlink()


def another_subject(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("patient002"))


def another_frame(folder: Path) -> None:
    (folder / "Info.cfg").write_text("ED: 1\nES: 10\nGroup: NOR\n", encoding="utf-8")


CHANGES = (corrected, replaced, renamed_group, removed, another_subject, another_frame)


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
@pytest.mark.parametrize("linked", [False, True], ids=["folders", "links"])
def test_a_change_of_what_is_read_is_seen(
    acdc: Any, tmp_path: Path, change: Callable[[Path], None], linked: bool
) -> None:
    folder = acdc.add(1)
    if linked:  # subjects of a shared disk
        there = folder.rename(tmp_path / "there")
        folder.symlink_to(there)
    before = state(acdc.root)
    change(folder)
    assert state(acdc.root) != before


def test_a_switched_link_is_seen(acdc: Any, tmp_path: Path) -> None:
    folder = acdc.add(1)
    versions = [tmp_path / "old", tmp_path / "new"]
    shutil.copytree(folder, versions[0])
    shutil.copytree(folder, versions[1])  # of the same names, sizes and dates
    shutil.rmtree(folder)
    folder.symlink_to(versions[0])
    before = state(acdc.root)
    folder.unlink()
    folder.symlink_to(versions[1])
    assert state(acdc.root) != before


def test_what_is_not_read_is_not_watched(acdc: Any) -> None:
    folder = acdc.add(1)
    before = state(acdc.root)
    (folder / "patient001_4d.nii.gz").write_bytes(bytes(100))
    (folder / "._Info.cfg").write_bytes(bytes(100))
    (acdc.root / "results").mkdir()
    os.utime(folder / "Info.cfg", (LONG_AGO, LONG_AGO))
    assert state(acdc.root) == before


def test_files_elsewhere_are_watched(acdc: Any, tmp_path: Path) -> None:
    """A table may name files outside its folder, and nnU-Net's description too."""
    folder = acdc.add(1)
    image, label = (folder / f"patient001_frame01{end}.nii.gz" for end in ("", "_gt"))
    table, raw = tmp_path / "table", tmp_path / "raw"
    table.mkdir()
    raw.mkdir()
    (table / "cases.csv").write_text(f"image,label,subject\n{image},{label},s\n", encoding="utf-8")
    listed = {"s_ED": {"images": [str(image)], "label": str(label)}}
    labels = {"background": 0, "RV": 1, "MYO": 2, "LV": 3}
    (raw / "dataset.json").write_text(
        json.dumps({"labels": labels, "dataset": listed}), encoding="utf-8"
    )
    folders = {
        "csv": DataFolder("csv", table, labels=labels),
        "nnunet": DataFolder("nnunet", raw, subject="^(s)_"),
    }
    assert len(make_case_table({"nnunet": folders["nnunet"]})) == 1
    before = {name: state_of(data) for name, data in folders.items()}
    os.utime(label, (LONG_AGO, LONG_AGO))
    assert all(state_of(data) != before[name] for name, data in folders.items())


def test_participants_of_gated_data_are_watched_and_not_named(ukbb: Any) -> None:
    folder = ukbb.add("1000011")
    before = state(ukbb.root, "ukbb")
    os.utime(folder / "sa_ED.nii.gz", (LONG_AGO, LONG_AGO))
    after = state(ukbb.root, "ukbb")
    assert before != after
    assert "1000011" not in before + after
