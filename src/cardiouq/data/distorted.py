"""The distorted twins of a test set's scans: scans of their own, on disk and in a case table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd

from cardiouq.data.cases import check_case
from cardiouq.data.distortions import distort
from cardiouq.data.plan import Plan
from cardiouq.data.preprocessing import nonzero_box, preprocess_case
from cardiouq.data.readers.found import SAID, FoundCase
from cardiouq.data.readers.scans import Case, read_image, read_label, write_label, write_volume
from cardiouq.seeds import derive


def choose_subjects(cases: pd.DataFrame, subjects: int | None, seed: int) -> pd.DataFrame:
    """Rows of some subjects, the same ones on every machine; of all, if `subjects` is None."""
    names = sorted(set(cases["subject"]), key=lambda name: derive(seed, "distorted subjects", name))
    return cases[cases["subject"].isin(names[:subjects])]


def distort_cases(
    cases: pd.DataFrame,
    test_sets: Mapping[str, Mapping[str, Any]],
    plan: Plan,
    seed: int,
    folder: Path,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write every scan at every degree of every kind, and each of them as a network will see it.

    A distorted scan has its image and label as NIfTI and its preprocessed array in `folder`. Random
    numbers depend on kind and case, so that only the degree differs between the degrees of a case.

    Args:
        cases: rows of the case table to distort.
        test_sets: from `Study.distorted_test_sets`.
        plan: says how scans are preprocessed.

    Returns:
        Rows of a case table, and rows of test_set and case.
    """
    rows: list[dict[str, Any]] = []
    boxes = []  # of the scan itself: distorted, its border of zeros is no longer zero
    for row in cases.itertuples(index=False):
        case: Any = row
        image, label = read_image(case), read_label(case)
        box = nonzero_box(image)
        voxel = (case.spacing_z, case.spacing_y, case.spacing_x)
        for test_set, settings in test_sets.items():
            kind = settings["kind"]
            of_case = derive(seed, "distortion", kind, case.case)
            changed, followed = distort(image, label, kind, settings["degree"], voxel, of_case)
            name = f"{case.case}+{kind}-{settings['place']}"
            boxes.append(box)
            files = folder / f"{name}.nii.gz", folder / f"{name}_label.nii.gz"
            write_volume(changed, case, files[0])
            write_label(followed, case, files[1])
            said = {column: getattr(case, column) for column in ("part", *SAID)}
            found = FoundCase(case=name, image=files[0], label=files[1], **said)
            rows.append(
                {"test_set": test_set, "dataset": case.dataset} | check_case(found, case.labels)
            )
    table = pd.DataFrame(rows)
    for row, box in zip(table.itertuples(index=False), boxes, strict=True):
        preprocess_case(cast(Case, row), plan, folder, with_label=False, box=box)
    return table.drop(columns="test_set"), table[["test_set", "case"]]
