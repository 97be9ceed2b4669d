"""A scan is the same scan however it is stored, and another scan is another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from cardiouq.data.cases import make_case_table
from cardiouq.data.integrity import check_cases
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.readers.identity import hash_of, identity_of
from cardiouq.data.split import LEFT_OUT, split_subjects

AFFINE = np.diag([-1.5, -1.25, 8.0, 1.0])
LABELS = {"RV": 1, "MYO": 2, "LV": 3}


def scan(seed: int) -> Any:
    return np.random.default_rng(seed).integers(1, 900, (20, 24, 4)).astype(np.int16)


def swapped(image: Any) -> Any:
    """Big-endian on disk."""
    return nib.Nifti1Image(image, AFFINE, nib.Nifti1Header(endianness=">"))


def with_slope(image: Any) -> Any:
    """Integers of half the size, with a scale of 2."""
    stored = nib.Nifti1Image((image * 2).astype(np.int32), AFFINE)
    stored.header.set_slope_inter(0.5, 0)
    return stored


def rescaled(image: Any) -> Any:
    """Saved as integers by nibabel, which chooses a scale of its own."""
    stored = nib.Nifti1Image(image.astype(np.float64), AFFINE)
    stored.header.set_data_dtype(np.int16)
    return stored


def flipped(image: Any) -> Any:
    """Along all axes, with the affine that puts each voxel where it was."""
    moved = AFFINE @ np.diag([-1, -1, -1, 1.0])
    moved[:3, 3] = AFFINE[:3, :3] @ (np.array(image.shape) - 1)
    return nib.Nifti1Image(image[::-1, ::-1, ::-1], moved)


def reoriented(image: Any) -> Any:
    """Rows and columns exchanged."""
    return nib.Nifti1Image(image.swapaxes(0, 1), AFFINE @ np.eye(4)[:, [1, 0, 2, 3]])


STORAGES: dict[str, Callable[[Any], Any]] = {
    "another type": lambda image: nib.Nifti1Image(image.astype(np.float64), AFFINE),
    "NIfTI-2": lambda image: nib.Nifti2Image(image.astype(np.uint16), AFFINE),
    "byte order": swapped,
    "a scale in the header": with_slope,
    "a scale of nibabel's": rescaled,
    "flipped": flipped,
    "reoriented": reoriented,
    "mirrored by mistake": lambda image: nib.Nifti1Image(image[::-1], AFFINE),
    "normalised": lambda image: nib.Nifti1Image((image - 450) / np.float32(260), AFFINE),
}


@pytest.mark.parametrize("storage", STORAGES)
def test_a_copy_in_another_storage_is_flagged_and_left_out(tmp_path: Path, storage: str) -> None:
    rows = ["image,label,subject,part"]
    for number in range(1, 7):
        subject, part = f"s{number}", "elsewhere" if number == 6 else ""
        image = scan(1 if number == 6 else number)  # s6 is s1
        stored = STORAGES[storage](image) if number == 6 else nib.Nifti1Image(image, AFFINE)
        label = np.zeros(image.shape, np.uint8)
        for value in LABELS.values():
            label[4 * value : 4 * value + number, 4:16, 1:3] = value
        nib.save(stored, tmp_path / f"{subject}.nii.gz")
        grid = nib.Nifti1Image(np.zeros(stored.shape, np.uint8), stored.affine)
        of_copy = grid if number == 6 else nib.Nifti1Image(label, AFFINE)
        nib.save(of_copy, tmp_path / f"{subject}_gt.nii.gz")
        rows.append(f"{subject}.nii.gz,{subject}_gt.nii.gz,{subject},{part}")
    (tmp_path / "cases.csv").write_text("\n".join(rows), encoding="utf-8")
    parts = ("training", "elsewhere")
    cases = make_case_table({"own": DataFolder("csv", tmp_path, parts, LABELS)})
    split = split_subjects(cases, "own", 0.34, 0, seed=1)
    assert split.loc[split["split"] == LEFT_OUT, "subject"].tolist() == ["s1"]
    checks = check_cases(cases, split)
    copies = checks[checks["flag"] == "duplicate image"]
    assert copies["case"].tolist() == ["s1", "s6"]


def test_other_scans_are_others() -> None:
    image = scan(1)
    changed = image.copy()
    changed[0, 0, 0] += 1
    moved = np.roll(image, 1, axis=0)
    shuffled = np.random.default_rng(0).permutation(image.ravel()).reshape(image.shape)
    seen = {identity_of(volume) for volume in (image, changed, moved, shuffled, scan(2))}
    assert len(seen) == 5


def test_what_a_network_learns_from_depends_on_order_and_scale() -> None:
    image = scan(1).astype(np.float32)
    same = image.astype(np.float64).astype(">f8").astype(np.float32)
    assert hash_of(image) == hash_of(same)
    others = (image[::-1], image.swapaxes(0, 1), image / 2)
    assert len({hash_of(volume) for volume in (image, *others)}) == 4
