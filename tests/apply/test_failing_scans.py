"""What becomes of scans that fail, of a model or a disk that does, and of a call that is killed."""

import gzip
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from cardiouq.apply import segment
from cardiouq.apply.apply import failed_names
from cardiouq.cli import main
from cardiouq.device.environment import DEVICE_VARIABLE
from cardiouq.errors import CardiouqError

Make = Callable[..., Path]
MANY = 50


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says which device this process is to take, and the next test may want another."""
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")


@pytest.fixture
def arguments(make_model: Make, tmp_path: Path) -> list[str]:
    """Of the command."""
    places = (make_model(), tmp_path / "scans", tmp_path / "out")
    return ["apply", *map(str, places), "--device", "cpu"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Takes in the name of each scan that is segmented."""
    names: list[str] = []
    real = segment.Segmenter.segment

    def noted(self: Any, scan: Any, name: str, *rest: Any) -> None:
        names.append(name)
        real(self, scan, name, *rest)

    monkeypatch.setattr(segment.Segmenter, "segment", noted)
    return names


def table_of(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "subjects.csv", keep_default_na=False).set_index("scan")


@pytest.fixture
def broken(save: Make, volume: NDArray[np.int16]) -> dict[str, str]:
    """Scans that cannot be segmented -> what is wrong with them."""
    whole = save("truncated.nii.gz", volume)
    whole.write_bytes(gzip.compress(gzip.decompress(whole.read_bytes())[:5000]))
    save("flat.nii.gz", volume[..., 0])
    not_a_number = volume.astype(np.float32)
    not_a_number[3, 4, 1] = np.nan
    save("nan.nii.gz", not_a_number)
    save("axes.nii.gz", volume.transpose(2, 0, 1), np.diag([8, 1.5, 1.5, 1.0]))
    save("empty.nii.gz", np.zeros_like(volume))
    return {
        "truncated": "bytes by its header",
        "flat": "expected 3 or 4 dimensions",
        "nan": "NaN",
        "axes": "the slices lie along axis 1",
        "empty": "every voxel is 0",
    }


def test_broken_scans_among_many_are_rows_and_stop_nothing(
    arguments: list[str],
    save: Make,
    volume: NDArray[np.int16],
    broken: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = [f"good{n:02}" for n in range(MANY - len(broken))]
    for n, name in enumerate(good):
        save(f"{name}.nii.gz", volume[:24, 12:40, :2] + n)
    assert main(arguments) == 1
    out = tmp_path / "out"
    table = table_of(out)
    assert sorted(table.index) == sorted([*good, *broken])
    assert set(table.loc[good, "error"]) == {""}
    assert sorted(path.name for path in (out / "scans").glob("[!.]*")) == good
    said, page = capsys.readouterr(), (out / "viewer/index.html").read_text(encoding="utf-8")
    assert said.out.endswith(f"45 of 50 scans: {out}/viewer/index.html\n")
    assert said.err.count("NOT SEGMENTED") == page.count("<li>") == 5
    for name, wrong in broken.items():
        assert wrong in table.loc[name, "error"]
        assert name in table.loc[name, "error"]
        assert wrong in said.err and wrong in page
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [scan["name"] for scan in results["scans"] if "error" in scan] == sorted(broken)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of\nmemory"), OSError(5)])
def test_scan_that_fails_in_an_unforeseen_way_stops_no_other(
    arguments: list[str],
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    for n, name in enumerate("abc"):
        save(f"{name}.nii.gz", volume + n)
    real, calls = segment.sum_samples, iter(range(3))

    def second_fails(*given: Any) -> Any:
        if next(calls) == 1:
            raise error
        return real(*given)

    monkeypatch.setattr(segment, "sum_samples", second_fails)
    with caplog.at_level(logging.ERROR):
        assert main(arguments) == 1
    errors = table_of(tmp_path / "out")["error"].tolist()
    assert errors[0] == errors[2] == ""
    assert f"b.nii.gz: cannot be segmented ({type(error).__name__}" in errors[1]
    assert "\n" not in errors[1]
    assert "second_fails" in caplog.text  # of the traceback
    assert not (tmp_path / "out/scans/b").exists()


def test_last_job_of_snakemake_segments_nothing_that_a_job_could_not(
    arguments: list[str],
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a node without a GPU it died, and wrote nothing of any scan."""
    for n, name in enumerate("ab"):
        save(f"{name}.nii.gz", volume + n)
    assert main([*arguments[:2], str(tmp_path / "scans/a.nii.gz"), *arguments[3:]]) == 0
    save("empty.nii.gz", np.zeros_like(volume))

    def refuse() -> None:
        raise CardiouqError("no GPU to claim")

    with monkeypatch.context() as without:
        without.setattr("cardiouq.device.choose.choose_device", refuse)
        assert main([*arguments[:-1], "cuda", "--of-jobs"]) == 1
    out = tmp_path / "out"
    errors = table_of(out)["error"]
    assert errors["a"] == "" and "every voxel is 0" in errors["empty"]
    assert f"its job left no results; {out}/jobs/b.log says why" in errors["b"]
    assert errors["b"] in (out / "viewer/index.html").read_text(encoding="utf-8")
    assert failed_names(out) == ["b", "empty"]
    assert main(arguments) == 1  # which tries it again
    assert failed_names(out) == ["empty"]


def test_scan_that_may_not_be_read_stops_no_other(
    arguments: list[str],
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, _ = save("a.nii.gz", volume), save("b.nii.gz", volume)
    real = Path.open

    def denied(self: Path, *given: Any, **more: Any) -> Any:
        if self == a:
            raise PermissionError(13, "Permission denied", str(a))
        return real(self, *given, **more)

    monkeypatch.setattr(Path, "open", denied)
    assert main(arguments) == 1
    errors = table_of(tmp_path / "out")["error"]
    assert f"{a}: permission is denied" in errors["a"] and errors["b"] == ""


def test_names_that_are_no_text_are_escaped_and_stop_nothing(
    arguments: list[str], save: Make, volume: NDArray[np.int16], tmp_path: Path
) -> None:
    scans = save("good.nii.gz", volume).parent
    for stem, content in ((b"M\xfcller", (scans / "good.nii.gz").read_bytes()), (b"\xe9", b"")):
        (scans / os.fsdecode(stem + b".nii.gz")).write_bytes(content)
    assert main(arguments) == 1
    errors = table_of(tmp_path / "out")["error"]
    assert errors.keys().tolist() == ["M\\udcfcller", "good", "\\udce9"]
    assert errors.iloc[:2].tolist() == ["", ""]
    assert f"{scans}/\\udce9.nii.gz: cannot be read" in errors.iloc[2]
    page = (tmp_path / "out/viewer/index.html").read_text(encoding="utf-8")
    assert r'"name":"M\\udcfcller"' in page and r"/\udce9.nii.gz: cannot be read" in page
    assert main(arguments) == 1


def test_fault_of_the_model_stops_at_once(
    make_model: Make,
    said: dict[str, Any],
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in "ab":
        save(f"{name}.nii.gz", volume)
    recipe = said["recipe"] | {"variant": {"name": "layer_ensemble"}}
    places = (make_model(recipe=recipe), tmp_path / "scans", tmp_path / "out")
    assert main(["apply", *map(str, places), "--device", "cpu"]) == 2
    assert "the weights are not those of the network" in capsys.readouterr().err
    assert not (tmp_path / "out/subjects.csv").exists()


def test_page_of_scans_that_all_fail_now_is_removed(
    arguments: list[str], save: Make, volume: NDArray[np.int16], tmp_path: Path
) -> None:
    save("a.nii.gz", volume)
    assert main(arguments) == 0
    assert (tmp_path / "out/viewer/index.html").is_file()
    save("a.nii.gz", np.zeros_like(volume))
    assert main(arguments) == 1
    assert not (tmp_path / "out/viewer").exists()
    assert "every voxel is 0" in table_of(tmp_path / "out").loc["a", "error"]


def test_killed_call_is_taken_up_where_it_was(
    arguments: list[str],
    save: Make,
    volume: NDArray[np.int16],
    made: list[str],
    tmp_path: Path,
) -> None:
    names = [f"s{n:02}" for n in range(12)]
    for n, name in enumerate(names):
        save(f"{name}.nii.gz", np.stack([volume + n] * 4, axis=-1))
    scans, out = tmp_path / "out/scans", tmp_path / "out"

    def done() -> dict[str, int]:
        found = scans.glob("[!.]*/findings.json")
        return {file.parent.name: file.stat().st_mtime_ns for file in found}

    with subprocess.Popen([sys.executable, "-m", "cardiouq.cli", *arguments]) as process:
        while len(done()) < 2 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    before = done()
    assert 2 <= len(before) < len(names)
    assert not (out / "subjects.csv").exists()
    assert main(arguments) == 0
    assert sorted(made) == sorted({*names} - {*before})
    after = done()
    assert sorted(after) == names and before.items() <= after.items()
    assert table_of(out).index.tolist() == names
    assert not list(scans.glob(".partial-*"))
    for name in names:
        assert nib.load(scans / name / "entropy.nii.gz").shape == (*volume.shape, 4)


def test_stopped_scan_leaves_nothing_half_done(
    arguments: list[str],
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save("a.nii.gz", volume)

    def stop(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(segment, "phases", stop)
    assert main(arguments) == 130
    assert "goes on from what is finished" in capsys.readouterr().err
    assert not (tmp_path / "out/scans/a").exists()


def test_full_disk_is_one_sentence(
    arguments: list[str],
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save("a.nii.gz", volume)

    def full(*given: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "out"))

    monkeypatch.setattr(segment, "frames_writer", full)
    assert main(arguments) == 2
    assert "the disk is full" in capsys.readouterr().err
