"""Nothing of the user's own is replaced by results."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiouq.apply.dicom import as_nifti
from cardiouq.apply.output import check_replaced
from cardiouq.cli import main
from cardiouq.device.environment import DEVICE_VARIABLE
from cardiouq.errors import CardiouqError

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says which device this process is to take, and the next test may want another."""
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("own", ["scans/p1/p1.nii.gz", "viewer/index.html", "viewer"])
def test_files_of_the_user_stay(
    make_model: Make,
    save: Make,
    volume: NDArray[np.int16],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    own: str,
) -> None:
    """As where the results go to the folder that the scans lie in."""
    project = tmp_path / "project"
    file = project / own
    file.parent.mkdir(parents=True)
    save("p1.nii.gz", volume).rename(file)
    asked = project / "scans" if own.startswith("scans") else save("p1.nii.gz", volume)
    model = str(make_model())
    before = contents(tmp_path)
    assert main(["apply", model, str(asked), str(project), "--device", "cpu"]) == 2
    assert contents(tmp_path) == before
    error = capsys.readouterr().err
    replaced = project / own if own == "viewer" else file.parent
    assert f"{project}: results go to folders that hold files which" in error
    assert error.count("  - ") == 1 and f"  - {replaced}\n" in error


def test_nifti_of_the_user_stays_where_dicom_is_converted(tmp_path: Path) -> None:
    for name in ("dicom/1.dcm", "nifti/mine.nii.gz"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(CardiouqError, match="which `apply` did not write") as error:
        as_nifti(str(tmp_path / "dicom"), tmp_path)
    assert str(tmp_path / "nifti") in str(error.value)
    assert [path.name for path in (tmp_path / "nifti").iterdir()] == ["mine.nii.gz"]


def test_folder_of_results_is_known_by_the_hash_of_its_note(tmp_path: Path) -> None:
    folder = tmp_path / "scans/a"
    folders = {folder: "findings.json"}
    folder.mkdir(parents=True)
    (folder / ".DS_Store").touch()
    check_replaced(tmp_path, folders, [])
    sums = folder / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  findings.json\n", encoding="utf-8")
    check_replaced(tmp_path, folders, [tmp_path / "a.nii"])
    with pytest.raises(CardiouqError, match="did not write"):
        check_replaced(tmp_path, folders, [folder / "a.nii"])
    for of_the_user in (f"{'0' * 64}  a.nii\n", f"{'0' * 64} *findings.json\n"):
        sums.write_text(of_the_user, encoding="utf-8")
        with pytest.raises(CardiouqError, match="did not write"):
            check_replaced(tmp_path, folders, [])
