"""Files of other jobs are read as they were made, or not at all."""

import errno
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from cardiouq.data.plan import Plan
from cardiouq.data.readers.scans import load_prediction, write_volume
from cardiouq.errors import CardiouqError
from cardiouq.files import reading, writing
from cardiouq.files.reading import map_array, read, read_array, was_made
from cardiouq.files.tables import read_rows
from cardiouq.files.writing import HASHES_FILE, atomic_folder, atomic_write, hash_file_of, hashes_of
from cardiouq.provenance.record import machines, note_machine
from cardiouq.training.checkpoints import load_tensors, save_tensors

ARRAY = np.random.default_rng(0).normal(size=(3, 20, 18)).astype(np.float32)
TABLE = pd.DataFrame({"method": ["a", "NA"], "value": [0.125, 0.5]})

Make = Callable[[Path], object]
Read = Callable[[Path], object]


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    """Each test is told anew of what is taken up."""
    reading._say_taken_up.cache_clear()
    yield


def save_array(path: Path) -> None:
    with atomic_write(path) as temporary:
        np.save(temporary, ARRAY)


def save_table(path: Path) -> None:
    with atomic_write(path) as temporary:
        TABLE.to_csv(temporary, index=False)


def save_json(path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({"temperature": 1.25}), encoding="utf-8")


def save_volume(path: Path) -> None:
    """As a prediction's maps are, with the geometry of a scan."""
    scan = path.with_name("scan.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((18, 20, 3), np.int16), np.diag([1.5, 2.0, 8.0, 1.0])), scan)
    case: Any = SimpleNamespace(image=str(scan), frame=-1)
    write_volume(ARRAY, case, path)


KINDS: dict[str, tuple[str, Make, Read]] = {
    "array": ("a_image.npy", save_array, read_array),
    "mapped array": ("a_label.npy", save_array, map_array),
    "checkpoint": (
        "epoch-0001.safetensors",
        lambda path: save_tensors({"weight": torch.arange(99.0)}, path),
        load_tensors,
    ),
    "table": ("scores.csv", save_table, read_rows),
    "volume": ("a_entropy.nii.gz", save_volume, load_prediction),
    "machines": (
        "machine.json",
        lambda path: note_machine(path.parent, "cpu", "float32"),
        lambda path: machines(path.parent),
    ),
    "what is learnt": ("fitted.json", save_json, read),
}


def flip(path: Path, rng: Random) -> None:
    """One bit, anywhere; the file's time stays."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("kind", KINDS)
def test_any_bit_that_flips_is_an_error_that_names_the_file(kind: str, tmp_path: Path) -> None:
    name, make, read_back = KINDS[kind]
    rng = Random(kind)
    for number in range(30):
        file = tmp_path / str(number) / name
        file.parent.mkdir()
        make(file)
        read_back(file)
        flip(file, rng)
        with pytest.raises(CardiouqError) as caught:
            read_back(file)
        assert str(caught.value).startswith(f"{file}: is not as it was made: its SHA-256 is ")
        assert str(caught.value).endswith("and run again")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("damage", ["lost", "empty", "torn"])
def test_a_lost_empty_or_torn_file_is_an_error_that_names_it(
    kind: str, noted: bool, damage: str, tmp_path: Path
) -> None:
    """Also where no hash says so, but for a table, of which rows may be missing, and for bytes that
    may be anything."""
    name, make, read_back = KINDS[kind]
    file = tmp_path / name
    make(file)
    if not noted:
        hash_file_of(file).unlink()
    if damage == "lost":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: -10 if damage == "torn" else 0])
    unseen = (damage == "torn" and kind == "table") or kind == "what is learnt"
    unseen |= damage == "lost" and kind == "machines"  # not every folder notes them
    if unseen and not noted:
        return
    if damage == "lost" and kind == "machines":
        assert read_back(file) == []
        return
    with pytest.raises(CardiouqError) as caught:
        read_back(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_hash_that_flips_is_an_error_that_names_file_and_hash(tmp_path: Path) -> None:
    rng = Random(7)
    for number in range(60):
        file = tmp_path / str(number) / "scores.csv"
        file.parent.mkdir()
        save_table(file)
        seal = hash_file_of(file)
        made = seal.read_bytes()
        flip(seal, rng)
        with pytest.raises(CardiouqError) as caught:
            read_rows(file)
        assert str(file.parent) in str(caught.value)
        seal.write_bytes(made)
        pd.testing.assert_frame_equal(read_rows(file), TABLE, check_dtype=False)


def test_sha256sum_verifies_files_and_folders(tmp_path: Path) -> None:
    save_table(tmp_path / "scores.csv")
    with atomic_folder(tmp_path / "folder") as folder:
        save_array(folder / "a.npy")
        np.save(folder / "b+noise-1.npy", ARRAY)
        (folder / "below").mkdir()
        save_table(folder / "below" / "c.csv")
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [
        HASHES_FILE,
        "a.npy",
        "b+noise-1.npy",
        "below",
    ]
    for place, sums in ((tmp_path, ".scores.csv.sha256"), (tmp_path / "folder", HASHES_FILE)):
        done = subprocess.run(
            ["sha256sum", "--check", "--strict", sums], cwd=place, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert len(writing.read_hashes(tmp_path / "folder" / HASHES_FILE)) == 3


def test_what_is_lost_from_a_folder_was_made_and_what_is_foreign_was_not(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "folder") as folder:
        save_array(folder / "a_samples.npy")
    lost, never = (tmp_path / "folder" / f"{name}_samples.npy" for name in "ab")
    lost.unlink()
    assert was_made(lost)
    assert not was_made(never)
    assert not was_made(tmp_path / "a_samples.npy")
    save_array(tmp_path / "foreign.npy")
    shutil.copy(tmp_path / "foreign.npy", never)
    with pytest.raises(CardiouqError, match="has no hash of it"):
        read_array(never)


def test_a_folder_made_again_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    for name in "ab":
        with atomic_folder(tmp_path / "folder") as folder:
            save_array(folder / f"{name}.npy")
    assert {path.name for path in (tmp_path / "folder").iterdir()} == {HASHES_FILE, "b.npy"}
    read_array(tmp_path / "folder" / "b.npy")


class Killed(BaseException):
    """At this point."""


@pytest.mark.parametrize("step", ["_hash", "hash_file_of", "write_hashes"])
def test_a_kill_at_any_step_of_a_write_leaves_a_file_that_is_read(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older one or the new one, whole; the next write is as any other."""
    file = tmp_path / "scores.csv"
    save_table(file)

    def killed(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(writing, step, killed)
        with atomic_write(file) as temporary:
            TABLE.assign(value=[1, 2]).to_csv(temporary, index=False)
    assert read_rows(file)["value"].tolist() in ([0.125, 0.5], [1, 2])
    save_table(file)
    assert read_rows(file)["value"].tolist() == [0.125, 0.5]
    flip(file, Random(1))
    with pytest.raises(CardiouqError, match="is not as it was made"):
        read_rows(file)


def test_a_file_replaced_while_it_is_read_is_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "scores.csv"
    save_table(file)
    noted, calls = reading._noted, []

    def replaced_meanwhile(path: Path) -> Any:
        found = noted(path)
        if not calls:
            with atomic_write(file) as temporary:
                TABLE.assign(value=[1, 2]).to_csv(temporary, index=False)
        calls.append(path)
        return found

    monkeypatch.setattr(reading, "_noted", replaced_meanwhile)
    assert read_rows(file)["value"].tolist() == [1, 2]


def test_files_without_hashes_are_taken_up_once_with_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        TABLE.to_csv(tmp_path / name, index=False)
    with caplog.at_level(logging.WARNING):
        for name in ("a.csv", "b.csv"):
            read_rows(tmp_path / name)
        [record] = caplog.records
        assert str(tmp_path) in record.getMessage()
        caplog.clear()
        reading._say_taken_up.cache_clear()  # another process
        read_rows(tmp_path / "a.csv")
        assert not caplog.records
    assert hash_file_of(tmp_path / "b.csv").is_file()
    flip(tmp_path / "a.csv", Random(2))
    with pytest.raises(CardiouqError, match="is not as it was made"):
        read_rows(tmp_path / "a.csv")


def test_a_file_is_taken_up_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TABLE.to_csv(tmp_path / "a.csv", index=False)

    opened = Path.open

    def refused(path: Path, mode: str = "r", **options: Any) -> Any:
        if mode == "x":
            raise PermissionError(errno.EACCES, "denied", str(path))
        return opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", refused)
    assert len(read_rows(tmp_path / "a.csv")) == 2
    assert not hash_file_of(tmp_path / "a.csv").exists()


def test_what_is_to_be_deleted_is_what_is_made_together(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "arrays") as folder:
        save_array(folder / "a.npy")
    run = tmp_path / "seed-0"
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").write_text("{}", encoding="utf-8")  # of an older version
    for file, expected in {
        tmp_path / "arrays" / "a.npy": tmp_path / "arrays",
        run / "checkpoints" / "epoch-0001.safetensors": run,
        run / "history.csv": run,
        tmp_path / "predicted" / "a_entropy.nii.gz": tmp_path / "predicted",
        tmp_path / "data" / "plan.json": tmp_path / "data" / "plan.json",
    }.items():
        assert reading.to_delete(file) == expected


def test_hashes_of_a_folder_are_those_noted_when_its_files_were_made(tmp_path: Path) -> None:
    """What has changed before the folder is whole is not taken for what was made."""
    save_array(tmp_path / "a.npy")
    made = hashes_of(tmp_path)["a.npy"]
    flip(tmp_path / "a.npy", Random(3))
    assert hashes_of(tmp_path) == {"a.npy": made}


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '[{"device": "cpu"}]',
        '[{"device": "cpu", "precision": "float16", "code": "0123456789abcdef"}]',
        '[{"device": "cpu", "precision": "float32", "code": "0123"}]',
        '[{"device": 1, "precision": "float32", "code": "0123456789abcdef"}]',
    ],
)
def test_a_note_of_machines_that_is_none_is_an_error_that_names_it(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "machine.json").write_text(text, encoding="utf-8")
    with pytest.raises(CardiouqError) as caught:
        machines(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'machine.json'}: ")


def test_a_plan_is_read_as_it_was_made(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    with atomic_write(file) as temporary:
        temporary.write_text(plan.to_json(), encoding="utf-8")
    assert Plan.read(file) == plan
    text = file.read_text(encoding="utf-8").replace("1.5", "1.4", 1)
    file.write_text(text, encoding="utf-8")  # a plan like any other
    with pytest.raises(CardiouqError, match="is not as it was made"):
        Plan.read(file)
