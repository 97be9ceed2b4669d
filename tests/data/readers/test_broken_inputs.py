"""Broken and hostile inputs of every layout: each is one clear error that names the file, or is
read right, without hanging and in under one GiB.

Every input is a small folder that is well, damaged in one place, with a fixed seed. They are read
by a process of their own, `broken_inputs.py` as a script, which cannot have more memory than that.
"""

import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cardiouq.data.readers.pseudonyms import pseudonym
from cardiouq.data.readers.scans import load_volume, write_volume
from tests.data.readers import broken_files, broken_inputs, broken_texts, broken_volumes
from tests.data.readers.broken_inputs import (
    CSV_FILES,
    IN_ORDER,
    LABELS,
    MOST_MIB,
    PARTICIPANT,
    REVERSED,
    RIGHT,
    SPATIAL,
    Accepted,
    Kinds,
    Outcome,
    Site,
    Volumes,
    edit_header,
    json_of,
)

SEED = 2026
FEWEST = 300
# what takes longest needs one on a quiet machine; this finds what never ends, not what is slow
MOST_SECONDS = 20
KINDS = [*broken_files.KINDS, *broken_volumes.KINDS, *broken_texts.KINDS]


def volumes(image: Path, label: Path, frame: int, order: Any) -> Volumes:
    """As they must be read, by nibabel alone."""
    voxels = (np.asarray(nib.load(path).dataobj) for path in (image, label))
    image_, label_ = (v if frame < 0 else v[..., frame] for v in voxels)
    return image_.T.astype(np.float32), order[label_.T]


@pytest.fixture
def sites(acdc: Any, mnms: Any, ukbb: Any, tmp_path: Path) -> dict[str, Site]:
    """One of every layout, two cases each."""
    phases, frames = ("ED", "ES"), {"ED": "01", "ES": "09"}
    patient, cine, participant = acdc.add(1), mnms.add("A1"), ukbb.add(PARTICIPANT)
    pairs = {
        phase: [patient / f"patient001_frame{frames[phase]}{end}.nii.gz" for end in ("", "_gt")]
        for phase in phases
    }
    of_cine = cine / "A1_sa.nii.gz", cine / "A1_sa_gt.nii.gz"
    of_participant = {
        phase: [participant / f"{start}sa_{phase}.nii.gz" for start in ("", "label_")]
        for phase in phases
    }
    key = ukbb.root / "pseudonym.key"
    name = pseudonym(key.read_bytes(), PARTICIPANT)
    nnunet, csv = tmp_path / "nnunet", tmp_path / "csv"
    of_nnunet = {
        phase: [nnunet / f"imagesTr/{case}_0000.nii.gz", nnunet / f"labelsTr/{case}.nii.gz"]
        for phase in phases
        for case in [f"patient001_{phase}"]
    }
    of_csv = [csv / file for file in CSV_FILES]
    copies = [*pairs["ED"], *pairs["ES"], *pairs["ED"], *of_cine]
    targets = [*of_nnunet["ED"], *of_nnunet["ES"], *of_csv]
    for file, target in zip(copies, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    (nnunet / "dataset.json").write_bytes(json_of())
    (csv / "cases.csv").write_text(
        "image,label,subject,phase,frame,case\n"
        f"{CSV_FILES[0]},{CSV_FILES[1]},s1,ED,,a\n{CSV_FILES[2]},{CSV_FILES[3]},s2,ES,2,b\n",
        encoding="utf-8",
    )
    expected = {f"patient001_{phase}": volumes(*pairs[phase], -1, IN_ORDER) for phase in phases}
    made = [
        Site(
            "acdc",
            acdc.root,
            *pairs["ED"],
            table=patient / "Info.cfg",
            frames={"patient001_ED": -1},
            expected=expected,
            order=IN_ORDER,
        ),
        Site(
            "mnms",
            mnms.root,
            *of_cine,
            table=mnms.table,
            frames={"A1_ED": 0, "A1_ES": 2},
            expected={f"A1_{p}": volumes(*of_cine, f, REVERSED) for p, f in (("ED", 0), ("ES", 2))},
            order=REVERSED,
        ),
        Site(
            "ukbb",
            ukbb.root,
            *of_participant["ED"],
            table=key,
            frames={f"{name}_ED": -1},
            expected={f"{name}_{p}": volumes(*of_participant[p], -1, REVERSED) for p in phases},
            order=REVERSED,
            alias=(PARTICIPANT, name),
        ),
        Site(
            "nnunet",
            nnunet,
            *of_nnunet["ED"],
            table=nnunet / "dataset.json",
            frames={"patient001_ED": -1},
            expected=expected,
            order=IN_ORDER,
            options={"subject": "^(patient[0-9]+)_"},
        ),
        Site(
            "csv",
            csv,
            *of_csv[:2],
            table=csv / "cases.csv",
            frames={"a": -1},
            expected={"a": expected["patient001_ED"], "b": volumes(*of_cine, 2, IN_ORDER)},
            order=IN_ORDER,
            options={"labels": {name: LABELS[name] for name in ("RV", "MYO", "LV")}},
        ),
    ]
    return {site.layout: site for site in made}


def table_of_kinds(outcomes: Sequence[Outcome]) -> str:
    table = pd.DataFrame([vars(outcome) for outcome in outcomes])
    came = pd.get_dummies(table["came"]).reindex(columns=["read right", "one error"])
    table = pd.concat([table, came.fillna(0).astype(int)], axis=1).assign(inputs=1)
    columns = {"inputs": "sum", "read right": "sum", "one error": "sum"}
    columns |= {"seconds": "max", "mib": "max"}
    rows = table.groupby("kind", sort=False).agg(columns)
    rows = pd.concat([rows, rows.agg(columns).to_frame("all").T])
    rows.columns = ["inputs", "read right", "one error", "worst s", "worst MiB"]
    return rows.to_string(formatters=[*["{:.0f}".format] * 3, "{:.2f}".format, "{:.0f}".format])


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured as on Linux")
def test_every_broken_input_is_one_error_or_read_right(
    sites: dict[str, Site], tmp_path: Path
) -> None:
    rng = np.random.default_rng(SEED)
    inputs: list[tuple[str, Site, Accepted]] = []
    undamaged: Kinds = [("none", layout, lambda _: RIGHT) for layout in sites]
    for name, layout, damage in undamaged + KINDS:
        site = sites[layout].copied(tmp_path / f"{len(inputs):04d} {layout}", rng)
        accepted = damage(site)
        files = accepted if isinstance(accepted, list) else [accepted]
        inputs.append((name, site, [site.told(file) for file in files]))
    given, answer = tmp_path / "inputs.pickle", tmp_path / "outcomes.pickle"
    # `broken_inputs` has another name over there, so none of its classes
    given.write_bytes(pickle.dumps([(name, vars(site), files) for name, site, files in inputs]))
    subprocess.run([sys.executable, broken_inputs.__file__, given, answer], check=True, timeout=600)
    outcomes = [Outcome(**outcome) for outcome in pickle.loads(answer.read_bytes())]
    print(f"\n{table_of_kinds(outcomes)}")
    complaints = [
        f"{outcome.kind}, {site.root.name}: {outcome.complaint}"
        for outcome, (_, site, _) in zip(outcomes, inputs, strict=True)
        if outcome.complaint
    ]
    assert not complaints, "\n".join(complaints)
    assert len(KINDS) >= FEWEST
    assert max(outcome.seconds for outcome in outcomes) < MOST_SECONDS
    assert max(outcome.mib for outcome in outcomes) < MOST_MIB


def test_a_prediction_has_the_repaired_geometry_of_its_scan(sites: dict[str, Site]) -> None:
    site = sites["nnunet"]
    skewed = nib.load(site.image).affine
    skewed[:3, :3] += [[0, 0.04, 0.1], [-0.02, 0, 0], [0.03, 0, 0]]
    skewed[:3, 3] = [10, -20, 30]
    for file in (site.image, site.label):
        edit_header(file, {name: skewed[axis] for axis, name in enumerate(SPATIAL)})
    written = site.root / "written.nii.gz"
    case: Any = SimpleNamespace(image=str(site.image), frame=-1)
    write_volume(load_volume(site.image, -1), case, written)
    affine = nib.load(written).affine
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / edges
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(edges, [1.5, 1.25, 8], rtol=1e-6)
    np.testing.assert_allclose(nib.load(written).header.get_zooms(), [1.5, 1.25, 8])
    np.testing.assert_array_equal(affine[:3, 3], [10, -20, 30])
    given = skewed[:3, :3] / np.linalg.norm(skewed[:3, :3], axis=0)
    stretch = given @ directions.T  # symmetric if no rotation is nearer to what was given
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-6)
    assert np.linalg.norm(given - directions) < 0.1
