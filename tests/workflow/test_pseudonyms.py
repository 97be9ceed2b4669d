"""A study of participants under pseudonyms leaves their ids nowhere, whatever a file is called."""

import gzip
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import yaml

from cardiouq.data.phantom.generate import generate


def as_ukbb(acdc: Path, root: Path) -> list[str]:
    """ACDC's folder as UK Biobank's; returns the participants' ids."""
    ids = []
    root.mkdir()
    (root / "pseudonym.key").write_text("0123456789abcdef" * 4, encoding="utf-8")
    for number, patient in enumerate(sorted(acdc.glob("training/patient*"))):
        ids.append(f"10077{number:02d}")
        (root / ids[-1]).mkdir()
        labels = sorted(patient.glob("*_gt.nii.gz"))
        for label, phase in zip(labels, ("ED", "ES"), strict=True):
            image = nib.load(label.with_name(label.name.replace("_gt", "")))
            image.header["descrip"] = f"participant {ids[-1]}".encode()
            nib.save(image, root / ids[-1] / f"sa_{phase}.nii.gz")
            shutil.copy(label, root / ids[-1] / f"label_sa_{phase}.nii.gz")
    return ids


def test_no_participant_s_id_is_in_any_result(fresh: Any, tiny: dict[str, Any]) -> None:
    home = fresh.directory
    generate(home / "phantom", acdc_subjects=10, mnms_subjects_per_vendor=1, seed=1)
    root = home / "ukbb"
    ids = as_ukbb(home / "phantom" / "acdc", root)
    study = tiny
    study["datasets"] = {"ukbb": {"layout": "ukbb", "source": "ukbb_root"}}
    del study["phantom"]
    study["split"] = {"dataset": "ukbb", "validation_fraction": 0.2}
    study["methods"] = {"vanilla": {**tiny["methods"]["vanilla"]}}
    study["recipes"] = {"polynomial": tiny["recipes"][tiny["methods"]["vanilla"]["recipe"]]}
    study["methods"]["vanilla"] |= {"recipe": "polynomial"}
    study["methods"]["vanilla"].pop("repeats", None)
    study["test_sets"] = {
        "val": {
            "dataset": "ukbb",
            "split": "validation",
            "label": "V",
            "domain": "ID",
            "published": None,
        }
    }
    study["distortions"] = {"test_set": "val", "subjects": 1, "kinds": {"noise": [0.1]}}
    study["reporting"]["published"] = None
    (home / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    work = home / "work"
    done = fresh.run(study=str(home / "study.yaml"), directory=work, config=[f"ukbb_root={root}"])
    assert done.returncode == 0, done.stdout
    assert not any(participant in done.stdout for participant in ids)
    files = [path for path in work.rglob("*") if path.is_file()]  # results and Snakemake's own
    assert len(files) > 100
    for path in files:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content += gzip.decompress(content)
        assert not any(participant in str(path) for participant in ids)
        assert not any(participant.encode() in content for participant in ids), path
    # a scan that changes is seen, although no rule names it
    scan = root / ids[0] / "sa_ED.nii.gz"
    scan.touch()
    planned = fresh.plan(
        study=str(home / "study.yaml"), directory=work, config=[f"ukbb_root={root}"]
    )
    assert "list_cases" in planned.jobs
