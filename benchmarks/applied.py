"""How good a model is on scans whose references it is not shown: Dice, LVEF, intervals, flags.

Each subject's two annotated volumes become a cine without labels, `cardiouq apply` segments it, and
only then are the references read. Prints a table of the study's test sets in Markdown.

    python benchmarks/applied.py results/laptop MODEL FOLDER
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from cardiouq.apply.apply import SCANS, apply
from cardiouq.apply.model_folder import read_model, structures_of
from cardiouq.data.case_table import read_case_table
from cardiouq.data.readers.scans import Case, read_image, read_label
from cardiouq.data.split import read_test_sets
from cardiouq.device.choose import choose_device
from cardiouq.device.environment import restart_with
from cardiouq.evaluation.clinical import UNITS, clinical_quantities
from cardiouq.evaluation.overlap import dice
from cardiouq.evaluation.surface import surface_distances
from cardiouq.evaluation.volumes import volume_ml
from cardiouq.structures import HEART, STRUCTURES, mask_of

PHASES = ("ED", "ES")
POOR_MM = {"RV": 1.88, "MYO": 1.19, "LV": 1.17}
"""ASSD of a slice above which ng2022 calls a structure poor."""
QUANTITIES = ("LVEDV", "LVEF", "RVEDV", "LVM")
Rows = list[dict[str, object]]


def cine_of(cases: list[Case], folder: Path) -> Path:
    """Write a subject's volumes at ED and ES as the frames of a file, and nothing else of it."""
    image = nib.load(cases[0].image)
    frames = np.stack([read_image(case).T for case in cases], axis=-1)
    edges = (cases[0].spacing_x, cases[0].spacing_y, cases[0].spacing_z, 1.0)
    cine = nib.Nifti1Image(frames, image.affine)
    cine.header.set_zooms(edges)
    cine.header.set_xyzt_units("mm")
    path = folder / f"{cases[0].subject}.nii.gz"
    nib.save(cine, path)
    return path


def scored(cases: list[Case], made: Path) -> tuple[Rows, Rows]:
    """Rows of each quantity, and of each structure of each slice, of one subject."""
    findings = json.loads((made / "findings.json").read_text(encoding="utf-8"))
    segmentations = np.asanyarray(nib.load(made / "segmentation.nii.gz").dataobj).T
    spacing = (cases[0].spacing_z, cases[0].spacing_y, cases[0].spacing_x)
    references = np.stack([read_label(case) for case in cases])
    ml = {
        (name, phase): volume_ml(mask_of(reference, name)[None], spacing)
        for phase, reference in zip(PHASES, references, strict=True)
        for name in HEART
    }
    truth = {name: float(value[0]) for name, value in clinical_quantities(ml).items()}
    level = max(of["nominal"] or 0 for of in findings["quantities"])
    of_subject: Rows = [
        of | {"error": of["estimate"] - truth[of["quantity"]], "truth": truth[of["quantity"]]}
        for of in findings["quantities"]
        if of["quantity"] in UNITS and (of["nominal"] or 0) == level
    ]
    of_slices: Rows = []
    for frame, segmentation, reference in zip(
        findings["frames"], segmentations, references, strict=True
    ):
        for name in STRUCTURES:
            found, true = mask_of(segmentation, name), mask_of(reference, name)
            whole = float(dice(found[None], true[None])[0])
            assd = surface_distances(found, true, spacing[1:]).assd()
            of_slices += [
                {
                    "structure": name,
                    "dice_of_volume": whole if z == 0 else np.nan,
                    "poor": assd[z] > POOR_MM[name],
                    "flagged": z in frame["flagged"].get(name, []),
                    "doubt": 1 - frame["slice_dice"][z][name],
                }
                for z in range(len(found))
            ]
    return of_subject, of_slices


def described(of_subject: pd.DataFrame, of_slices: pd.DataFrame) -> Iterator[str]:
    """The cells of a test set's row."""
    for name in STRUCTURES:
        yield f"{of_slices.loc[of_slices['structure'] == name, 'dice_of_volume'].mean():.3f}"
    for name in QUANTITIES:
        rows = of_subject[of_subject["quantity"] == name]
        inside = rows["truth"].between(rows["low"], rows["high"]).sum()
        width = (rows["high"] - rows["low"]).median()
        error = rows["error"].abs().mean()
        yield f"{error:.1f} {UNITS[name]}; {inside} of {len(rows)}, width {width:.1f}"
    poor: NDArray[np.bool_] = of_slices["poor"].to_numpy(bool)
    yield f"{poor.sum()} of {len(poor)}"
    for score in ("flagged", "doubt"):
        both = 0 < poor.sum() < len(poor)
        yield f"{roc_auc_score(poor, of_slices[score].astype(float)):.3f}" if both else "-"


def main() -> None:
    """Apply, score and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="of the study that has the cases")
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path, help="for the scans and what comes of them")
    given = parser.parse_args()
    restart_with(structures_of(given.model))
    model, data = read_model(given.model), given.results / "data"
    test_sets = read_test_sets([data / "test_sets.csv"], read_case_table(data / "cases.csv"))
    headings = ["test set", "subjects", *(f"Dice {name}" for name in STRUCTURES)]
    headings += [f"{name}: mean error; interval" for name in QUANTITIES]
    headings += ["poor slices", "AUROC of the flag", "AUROC of 1 - expected Dice"]
    print(f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}", sep="\n")
    for test_set, cases in test_sets.items():
        scans = given.folder / test_set / "cines"
        scans.mkdir(parents=True, exist_ok=True)
        of_phase = {(case.subject, case.phase): case for case in cases}
        pairs = {
            subject: [of_phase[subject, phase] for phase in PHASES]
            for subject in dict.fromkeys(case.subject for case in cases)
        }
        files = {subject: cine_of(pair, scans) for subject, pair in pairs.items()}
        if wrong := apply(model, files, given.folder / test_set, choose_device):
            parser.exit(1, "\n".join(wrong))
        rows = [scored(pair, given.folder / test_set / SCANS / s) for s, pair in pairs.items()]
        of_subject = pd.DataFrame([row for one, _ in rows for row in one])
        of_slices = pd.DataFrame([row for _, many in rows for row in many])
        cells = [test_set, str(len(pairs)), *described(of_subject, of_slices)]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
