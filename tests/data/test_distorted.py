"""Distorted scans as scans: on disk, in a case table, as arrays."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cardiouq.data.cases import make_case_table
from cardiouq.data.distorted import choose_subjects, distort_cases
from cardiouq.data.plan import Plan
from cardiouq.data.preprocessing import nonzero_box, normalise, resample_image
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.readers.scans import read_image, read_label
from cardiouq.structures import IGNORED
from tests.data.conftest import make_scan, write_nifti

TEST_SETS = {
    "val+noise-1": {"of": "val", "kind": "noise", "place": 1, "degree": 0.05},
    "val+noise-2": {"of": "val", "kind": "noise", "place": 2, "degree": 0.1},
    "val+blur-1": {"of": "val", "kind": "blur", "place": 1, "degree": 1.0},
}


@pytest.fixture
def cases(acdc: Any, mnms: Any) -> pd.DataFrame:
    """Two subjects of ACDC and one of M&Ms, whose scans are 4-D and whose labels have another
    order, at two phases."""
    acdc.add(1)
    acdc.add(2)
    mnms.add("A0B1C2")
    mnms.write_table()
    return make_case_table(
        {"acdc": DataFolder("acdc", acdc.root), "mnms": DataFolder("mnms", mnms.root)}
    )


@pytest.fixture
def distorted(cases: pd.DataFrame, plan: Plan, tmp_path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    (tmp_path / "out").mkdir()
    return distort_cases(cases, TEST_SETS, plan, 7, tmp_path / "out")


def rows(table: pd.DataFrame) -> dict[str, Any]:
    return {row.case: row for row in table.itertuples(index=False)}


def test_a_distorted_label_keeps_what_nobody_annotated(
    acdc: Any, plan: Plan, tmp_path: Path
) -> None:
    acdc.add(1)
    for path in acdc.root.rglob("*_gt.nii.gz"):
        _, label = make_scan(0)
        label[..., 2] = 4
        write_nifti(path, label)
    table = make_case_table({"acdc": DataFolder("acdc", acdc.root, labels={"ignore": 4})})
    stretch = {"val+stretch-1": {"of": "val", "kind": "stretch", "place": 1, "degree": 0.4}}
    (tmp_path / "out").mkdir()
    twins, _ = distort_cases(table, TEST_SETS | stretch, plan, 7, tmp_path / "out")
    assert set(twins["ignored_voxels"]) == {12 * 14}
    for twin in twins.itertuples(index=False):
        assert (read_label(twin)[2] == IGNORED).all()


def test_every_case_is_there_at_every_degree(
    cases: pd.DataFrame, distorted: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    table, test_sets = distorted
    expected = {(t, f"{c}+{t.partition('+')[2]}") for t in TEST_SETS for c in cases["case"]}
    assert set(test_sets.itertuples(index=False, name=None)) == expected
    assert table["case"].tolist() == test_sets["case"].tolist()
    assert table.columns.tolist() == cases.columns.tolist()
    kept = ["dataset", "labels", "subject", "phase", "pathology", "vendor", "spacing_x"]
    twin_of = table.assign(case=table["case"].str.partition("+")[0]).set_index("case")[kept]
    pd.testing.assert_frame_equal(
        twin_of.drop_duplicates().sort_index(), cases.set_index("case")[kept].sort_index()
    )


def test_labels_are_read_back_and_geometry_is_kept(
    cases: pd.DataFrame, distorted: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    table = rows(distorted[0])
    for case, row in rows(cases).items():
        twin = table[f"{case}+noise-1"]  # noise moves no label
        np.testing.assert_array_equal(read_label(twin), read_label(row))
        assert np.abs(read_image(twin) - read_image(row)).max() > 1
        np.testing.assert_array_equal(nib.load(twin.image).affine, nib.load(row.image).affine)
        assert nib.load(twin.image).header.get_zooms()[:3] == pytest.approx(
            nib.load(row.image).header.get_zooms()[:3]
        )


def test_only_the_degree_differs_between_degrees(
    cases: pd.DataFrame, distorted: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    table, case = rows(distorted[0]), cases["case"][0]
    image = read_image(rows(cases)[case]).astype(np.float64)
    width = image.max() - image.min()
    weak, strong = (
        (read_image(table[f"{case}+noise-{place}"]) - image)[image > image.mean()] / width
        for place in (1, 2)
    )
    # far from 0, magnitudes grow by the in-phase noise alone, to first order
    assert np.corrcoef(weak, strong)[0, 1] > 0.97
    assert np.polyfit(weak, strong, 1)[0] == pytest.approx(2, rel=0.1)


def test_arrays_are_what_preprocessing_makes_of_the_distorted_scan(
    cases: pd.DataFrame, distorted: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    for case, row in rows(distorted[0]).items():
        array = np.load(tmp_path / "out" / f"{case}_image.npy")
        image = normalise(read_image(row))
        np.testing.assert_array_equal(array, resample_image(image, array.shape[1:]))
    assert not list((tmp_path / "out").glob("*_label.npy"))


def test_noise_in_a_border_of_zeros_changes_no_normalisation(
    acdc: Any, plan: Plan, tmp_path: Path
) -> None:
    """Noisy, the border is part of what is not zero."""
    acdc.add(1)
    for path in acdc.root.rglob("*_frame*.nii.gz"):
        if "_gt" not in path.name:
            image, _ = make_scan(0)
            image[: len(image) // 2] = 0
            write_nifti(path, image)
    cases = make_case_table({"acdc": DataFolder("acdc", acdc.root)})
    (tmp_path / "out").mkdir()
    table, _ = distort_cases(cases, TEST_SETS, plan, 7, tmp_path / "out")
    box = nonzero_box(read_image(rows(cases)[cases["case"][0]]))
    twin = rows(table)[f"{cases['case'][0]}+noise-1"]
    image = read_image(twin)
    assert nonzero_box(image) != box
    array = np.load(tmp_path / "out" / f"{twin.case}_image.npy")
    expected = resample_image(normalise(image, box=box), array.shape[1:])
    np.testing.assert_array_equal(array, expected)


def test_the_same_seed_gives_the_same_files_and_another_seed_others(
    cases: pd.DataFrame,
    plan: Plan,
    distorted: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
) -> None:
    hashes = {}
    for seed in (7, 8):
        (tmp_path / str(seed)).mkdir()
        table, _ = distort_cases(cases, TEST_SETS, plan, seed, tmp_path / str(seed))
        hashes[seed] = dict(zip(table["case"], table["image_hash"], strict=True))
    assert hashes[7] == dict(zip(distorted[0]["case"], distorted[0]["image_hash"], strict=True))
    noisy = [case for case in hashes[7] if "noise" in case]
    assert all(hashes[7][case] != hashes[8][case] for case in noisy)


def test_some_subjects_are_chosen_whole_and_by_name_alone(cases: pd.DataFrame) -> None:
    chosen = choose_subjects(cases, 2, seed=1)
    assert chosen["subject"].nunique() == 2
    assert len(chosen) == 4
    shuffled = choose_subjects(cases.sample(frac=1, random_state=0), 2, seed=1)
    assert set(shuffled["case"]) == set(chosen["case"])
    assert choose_subjects(cases, None, seed=1)["case"].tolist() == cases["case"].tolist()
    assert len({tuple(choose_subjects(cases, 1, s)["subject"]) for s in range(20)}) > 1
