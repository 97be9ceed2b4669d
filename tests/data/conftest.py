"""Small scans on disk in the layouts of ACDC and M&Ms."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

AFFINE = np.diag([-1.5, -1.25, 8.0, 1.0])
SHAPE = (12, 14, 3)  # columns, rows, slices, as on disk


def write_nifti(path: Path, voxels: Any, affine: Any = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)


def make_scan(seed: int, frames: int = 0) -> tuple[Any, Any]:
    """Noise, and one block of each label value: 1 left, 2 in the middle, 3 right."""
    shape = (*SHAPE, frames) if frames else SHAPE
    image = np.random.default_rng(seed).integers(1, 900, shape).astype(np.int16)
    label = np.zeros(shape, np.uint8)
    for value in (1, 2, 3):
        label[3 * value : 3 * value + 2, 4:8, 1] = value
    return image, label


class Acdc:
    """ACDC's folder, to which patients are added."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, number: int, group: str = "NOR", seed: int | None = None) -> Path:
        folder = self.root / "training" / f"patient{number:03d}"
        for index, frame in enumerate((1, 9)):
            image, label = make_scan(1000 * (number if seed is None else seed) + index)
            stem = f"{folder.name}_frame{frame:02d}"
            write_nifti(folder / f"{stem}.nii.gz", image)
            write_nifti(folder / f"{stem}_gt.nii.gz", label)
        (folder / "Info.cfg").write_text(
            f"ED: 1\nES: 9\nGroup: {group}\nHeight: 170.0\nNbFrame: 20\nWeight: 70.0\n",
            encoding="utf-8",
        )
        return folder


class Mnms:
    """M&Ms' folder, to which labelled subjects are added."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.table = root / "201014_M&Ms_Dataset_Information_-_opendataset.csv"
        self.rows: list[dict[str, Any]] = []

    def add(
        self,
        code: str,
        vendor: str = "A",
        centre: int = 1,
        ed: int = 0,
        es: int = 2,
        part: str = "Training/Labeled",
    ) -> Path:
        folder = self.root / part / code
        image, label = make_scan(sum(code.encode()), frames=4)
        write_nifti(folder / f"{code}_sa.nii.gz", image)
        write_nifti(folder / f"{code}_sa_gt.nii.gz", label)
        self.rows.append(
            {
                "External code": code,
                "VendorName": "Siemens",
                "Vendor": vendor,
                "Centre": centre,
                "ED": ed,
                "ES": es,
            }
        )
        self.write_table()
        return folder

    def write_table(self) -> None:
        pd.DataFrame(self.rows).to_csv(self.table, index=False)


class Ukbb:
    """UK Biobank's folder with a key, to which participants are added."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "pseudonym.key").write_text("0123456789abcdef" * 4, encoding="utf-8")

    def add(self, participant: str, labelled: bool = True) -> Path:
        folder = self.root / participant
        for index, phase in enumerate(("ED", "ES")):
            image, label = make_scan(int(participant) + index)
            scan = nib.Nifti1Image(image, AFFINE)
            scan.header["descrip"] = f"participant {participant}".encode()
            scan.header.extensions.append(
                nib.nifti1.Nifti1Extension("comment", participant.encode())
            )
            folder.mkdir(exist_ok=True)
            nib.save(scan, folder / f"sa_{phase}.nii.gz")
            if labelled:
                write_nifti(folder / f"label_sa_{phase}.nii.gz", label)
        return folder


@pytest.fixture
def ukbb(tmp_path: Path) -> Ukbb:
    return Ukbb(tmp_path / "ukbb")


@pytest.fixture
def acdc(tmp_path: Path) -> Acdc:
    return Acdc(tmp_path / "acdc")


@pytest.fixture
def mnms(tmp_path: Path) -> Mnms:
    return Mnms(tmp_path / "mnms")


@pytest.fixture
def save() -> Callable[..., None]:
    """Write voxels (columns, rows, slices) as NIfTI."""
    return write_nifti


@pytest.fixture
def subjects() -> Callable[..., pd.DataFrame]:
    """A case table of subjects, two cases each, in two pathologies."""

    def make(count: int, copies: dict[str, str] | None = None) -> pd.DataFrame:
        rows = []
        for number in range(1, count + 1):
            subject = f"patient{number:03d}"
            for phase in ("ED", "ES"):
                rows.append(
                    {
                        "dataset": "acdc",
                        "case": f"{subject}_{phase}",
                        "subject": subject,
                        "phase": phase,
                        "pathology": "DCM" if number % 2 else "NOR",
                        "vendor": "",
                        "part": "training",
                        "visit": "",
                        "labels": "background=0 RV=1 MYO=2 LV=3",
                        "image_hash": f"{(copies or {}).get(subject, subject)}-{phase}",
                        "image_identity": f"{(copies or {}).get(subject, subject)}-{phase}",
                        "label_identity": f"{subject}-{phase}-label",
                        "spacing_y": 1.25,
                        "spacing_x": 1.5,
                        "label_hash": f"{subject}-{phase}-label",
                    }
                )
        return pd.DataFrame(rows)

    return make
