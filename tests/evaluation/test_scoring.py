"""Scores of predictions on disk, and errors that name the file."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cardiouq.errors import CardiouqError
from cardiouq.evaluation import SCORE_TABLES
from cardiouq.evaluation.calibration import adaptive_calibration_error
from cardiouq.evaluation.scoring import score_method
from cardiouq.evaluation.surface import surface_distances
from cardiouq.structures import FOREGROUND, STRUCTURES
from tests.evaluation.conftest import SETTINGS, SHAPE, SPACING, heart, save, save_prediction

MakeStudy = Callable[..., Any]
DIAGONAL = np.linalg.norm(np.array([2, 19, 17]) * SPACING)


@pytest.fixture
def study(make_study: MakeStudy) -> Any:
    """One subject predicted right, one that was missed, and one with three samples."""
    return make_study("ensemble", right=[0], missed=None, spread=[-1, 0, 1])


@pytest.fixture
def tables(study: Any) -> dict[str, pd.DataFrame]:
    return score_method("ensemble", *study)


def test_every_table_has_every_case_and_structure(tables: dict[str, pd.DataFrame]) -> None:
    assert set(tables) == set(SCORE_TABLES)
    names = [*STRUCTURES, FOREGROUND]
    assert tables["scores"]["structure"].tolist() == names * 6
    assert (
        tables["slice_scores"]
        .groupby(["case", "slice"])["structure"]
        .apply(list)
        .map(lambda found: found == names)
        .all()
    )
    assert len(tables["voxels"]) == 6
    assert tables["slice_voxels"]["slice"].tolist() == [0, 1, 2] * 6
    assert len(tables["sample_volumes"]) == 2 * len(STRUCTURES) * (1 + 1 + 3)
    for table in tables.values():
        assert set(table["method"]) == {"ensemble"}
        assert table.notna().all(axis=None)


def test_a_right_segmentation_scores_best(tables: dict[str, pd.DataFrame]) -> None:
    for name in ("scores", "slice_scores"):
        right = tables[name].query("subject == 'right'")
        for metric in ("dice", "surface_dice", "dice_within", "pairwise_dice", "aula"):
            assert (right[metric] == 1).all()
        for metric in ("assd_mm", "hausdorff_mm", "hd95_mm", "assd_within_mm"):
            assert (right[metric] == 0).all()
    assert (tables["scores"].query("subject == 'right'")["margin_mm"] == 0).all()


def test_a_missed_structure_scores_worst_and_is_counted(tables: dict[str, pd.DataFrame]) -> None:
    missed = tables["scores"].query("subject == 'missed'")
    assert missed["predicted_empty"].all() and not missed["reference_empty"].any()
    assert (missed[["dice", "surface_dice", "predicted_ml"]] == 0).all(axis=None)
    for metric in ("assd_mm", "hausdorff_mm", "hd95_mm"):
        np.testing.assert_allclose(missed[metric], DIAGONAL)
    # in the slice without a heart, finding none is right
    slices = tables["slice_scores"].query("subject == 'missed'").set_index("slice")
    assert (slices.loc[2, ["dice", "surface_dice"]] == 1).all(axis=None)
    assert (slices.loc[2, "assd_mm"] == 0).all()
    assert (slices.loc[0, "dice"] == 0).all()
    in_slice = np.linalg.norm(np.array([19, 17]) * SPACING[1:])
    np.testing.assert_allclose(slices.loc[0, "assd_mm"], in_slice)
    np.testing.assert_allclose(missed["margin_mm"], in_slice)


def test_disagreement_of_the_samples_is_that_with_their_mean(
    tables: dict[str, pd.DataFrame],
) -> None:
    scores = tables["scores"].set_index(["case", "structure"])
    found = scores.loc[("spread_ED", "LV")]
    label = 3
    mean = heart() == label  # two of three samples agree with it at each voxel
    samples = np.stack([heart(shift) == label for shift in (-1, 0, 1)])
    dice = [2 * (mean & s).sum() / (mean.sum() + s.sum()) for s in samples]
    assert found["dice_within"] == pytest.approx(np.mean(dice))
    distances = surface_distances(samples, mean[None], SPACING).assd()
    assert found["assd_within_mm"] == pytest.approx(distances.mean())
    one, two, three = (
        2 * (samples[i] & samples[j]).sum() / (samples[i].sum() + samples[j].sum())
        for i, j in ((0, 1), (0, 2), (1, 2))
    )
    assert found["pairwise_dice"] == pytest.approx((one + two + three) / 3)
    assert found["aula"] == pytest.approx((one + three) / 2)  # of neighbours, in order
    # 2 slices of 4 x 4 voxels of 10 x 2 x 1.5 mm
    assert found["reference_ml"] == found["predicted_ml"] == pytest.approx(32 * 0.03)


@pytest.mark.parametrize(("assd", "tolerance_mm"), [("pooled", 2.0), ("directed", 12.0)])
def test_distances_are_those_that_the_settings_ask_for(
    make_study: MakeStudy, assd: str, tolerance_mm: float
) -> None:
    study = make_study("one", one=[0])
    labels = heart()
    labels[1], labels[0, 19, 17] = 0, 3  # a slice is missed, and a voxel far away is none
    save_prediction(study.predictions / "id", "one_ED", [labels])
    settings = SETTINGS | {"surface": {"assd": assd, "tolerance_mm": tolerance_mm}}
    scores = score_method("one", *study._replace(settings=settings))["scores"]
    found = scores.set_index(["case", "structure"]).loc[("one_ED", FOREGROUND)]
    distances = surface_distances(labels[None] > 0, heart()[None] > 0, SPACING)
    expected = {
        "assd_mm": distances.assd(assd == "pooled"),
        "surface_dice": distances.surface_dice(tolerance_mm),
        "hd95_mm": distances.hd95(),
        "hausdorff_mm": distances.hausdorff(),
    }
    assert found[list(expected)].tolist() == pytest.approx(np.concatenate([*expected.values()]))
    others = [distances.assd(assd != "pooled"), distances.surface_dice(14.0 - tolerance_mm)]
    assert not {*np.concatenate([*expected.values()])} & {*np.concatenate(others)}


@pytest.mark.parametrize(("box", "margin"), [("reference", 0), ("reference", 2), ("prediction", 0)])
def test_calibration_is_of_the_box_that_the_settings_ask_for(
    make_study: MakeStudy, box: str, margin: int
) -> None:
    """That of images is of whole ones."""
    study = make_study("ensemble", spread=[2, 3, 4])
    ece = SETTINGS["ece"] | {"box": box, "margin": margin, "bins": 7}
    tables = score_method("ensemble", *study._replace(settings=SETTINGS | {"ece": ece}))
    stored = np.load(study.predictions / "id" / "spread_ED_probabilities.npy").astype(float)
    inside = np.argwhere((heart() if box == "reference" else stored.argmax(0)) > 0)
    low, high = np.maximum(inside.min(0) - margin, 0), inside.max(0) + margin + 1
    part = tuple(map(slice, low, high))
    bins = tables["calibration"].query("case == 'spread_ED' and label == 'top'")
    assert bins["voxels"].sum() == heart()[part].size
    adaptive = adaptive_calibration_error(stored[:, *part].reshape(4, -1), heart()[part].ravel(), 7)
    found = tables["voxels"].set_index("case").loc["spread_ED", "adaptive_ce"]
    assert found == pytest.approx(adaptive)
    of_images = tables["image_calibration"].groupby(["case", "label"])["voxels"].sum()
    assert (of_images == np.prod(SHAPE)).all()


def test_the_heat_map_is_scored_by_volume_and_slice(
    study: Any, tables: dict[str, pd.DataFrame]
) -> None:
    stored = np.load(study.predictions / "id" / "spread_ED_probabilities.npy").astype(float)
    heat, reference = stored[3], heart() == 3
    scores = tables["scores"].set_index(["case", "structure"]).loc[("spread_ED", "LV")]
    slices = tables["slice_scores"].query("case == 'spread_ED' and structure == 'LV'")
    slices = slices.set_index("slice")
    predicted = reference  # the mean of shifts by -1, 0 and 1
    estimate = 2 * heat[predicted].sum() / (heat.sum() + predicted.sum())
    assert scores["estimated_dice"] == pytest.approx(estimate)
    assert scores["estimated_dice_error"] == pytest.approx(1 - estimate)
    in_slice = 2 * heat[0][predicted[0]].sum() / (heat[0].sum() + predicted[0].sum())
    assert slices.loc[0, "estimated_dice"] == pytest.approx(in_slice)
    assert slices.loc[2, "estimated_dice"] == pytest.approx(0.95, abs=1e-3)  # no heart, 5 % sure
    # 0.85 is nowhere certain, and 0.05 possible everywhere
    assert scores["precision_certain"] == 0 and scores["sensitivity_possible"] == 1
    assert slices.loc[2, "precision_certain"] == 1
    foreground = tables["scores"].set_index(["case", "structure"]).loc[("spread_ED", FOREGROUND)]
    union, predicted = stored[1:].sum(0), heart() > 0
    estimate = 2 * union[predicted].sum() / (union.sum() + predicted.sum())
    assert foreground["estimated_dice"] == pytest.approx(estimate)


def test_uncertainty_is_the_mean_of_the_maps(study: Any, tables: dict[str, pd.DataFrame]) -> None:
    entropy = nib.load(study.predictions / "id" / "spread_ES_entropy.nii.gz").get_fdata()
    found = tables["voxels"].set_index("case").loc["spread_ES"]
    assert found["predictive_entropy_bits"] == pytest.approx(entropy.mean())
    assert found["expected_entropy_bits"] == pytest.approx(entropy.mean() / 2)
    assert found["mutual_information_bits"] == pytest.approx(entropy.mean() / 2)
    variance = nib.load(study.predictions / "id" / "spread_ES_variance.nii.gz").get_fdata()
    assert found["variance"] == pytest.approx(variance.mean())
    stored = np.load(study.predictions / "id" / "spread_ES_probabilities.npy").astype(float)
    assert found["confidence"] == pytest.approx(stored.max(0).mean())
    by_slice = tables["slice_voxels"].query("case == 'spread_ES'")["predictive_entropy_bits"]
    np.testing.assert_allclose(by_slice, entropy.mean((0, 1)))
    assert tables["voxels"].set_index("case").loc["right_ED", "mutual_information_bits"] == 0


def test_memory_does_not_grow_with_the_samples_beyond_their_label_maps(
    make_study: MakeStudy,
) -> None:
    import tracemalloc

    peaks = []
    for count in (2, 42):
        study = make_study(f"of-{count}", one=[0, 1] * (count // 2))
        tracemalloc.start()
        score_method("ensemble", *study)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    label_maps = 40 * heart().nbytes
    # boolean masks, their surfaces and the places of surface voxels, of one structure at a time
    assert peaks[1] - peaks[0] < 40 * label_maps


def test_missing_prediction_is_named(study: Any) -> None:
    missing = study.predictions / "id" / "missed_ES_probabilities.npy"
    missing.unlink()
    with pytest.raises(CardiouqError, match=f"{missing}: missing"):
        score_method("ensemble", *study)


@pytest.mark.parametrize("kind", ["segmentation", "entropy", "samples"])
def test_prediction_on_another_grid_is_named(study: Any, kind: str) -> None:
    shape = (3, 18, 20) if kind != "samples" else (3, 3, 18, 20)
    save(np.zeros(shape, np.uint8), study.predictions / "id" / f"spread_ED_{kind}.nii.gz")
    with pytest.raises(CardiouqError, match=rf"spread_ED_{kind}.*3, 18, 20\).*\(3, 20, 18\)"):
        score_method("ensemble", *study)


@pytest.mark.parametrize("kind", ["segmentation", "samples"])
def test_unknown_labels_are_named(study: Any, kind: str) -> None:
    shape = (3, 20, 18) if kind != "samples" else (3, 3, 20, 18)
    save(np.full(shape, 4, np.uint8), study.predictions / "id" / f"spread_ED_{kind}.nii.gz")
    with pytest.raises(CardiouqError, match=rf"spread_ED_{kind}.*labels up to 4.*0 to 3"):
        score_method("ensemble", *study)


def test_segmentation_of_other_classes_than_the_most_probable_is_named(study: Any) -> None:
    save(heart(2), study.predictions / "id" / "spread_ED_segmentation.nii.gz")
    with pytest.raises(CardiouqError, match=r"spread_ED_segmentation.*of another class than"):
        score_method("ensemble", *study)


@pytest.mark.parametrize(("value", "text"), [(np.nan, "NaN"), (0.3, r"sum to 1\.2")])
def test_bad_probabilities_are_named(study: Any, value: float, text: str) -> None:
    path: Path = study.predictions / "id" / "right_ED_probabilities.npy"
    np.save(path, np.full((4, *heart().shape), value))
    with pytest.raises(CardiouqError, match=rf"right_ED_probabilities\.npy.*{text}"):
        score_method("ensemble", *study)


def test_unknown_case_is_named(study: Any) -> None:
    cases = study.cases[study.cases["case"] != "right_ES"]
    with pytest.raises(CardiouqError, match=r"cases\.csv has not: right_ES"):
        score_method("ensemble", *study._replace(cases=cases))


def test_needs_neither_torch_nor_monai() -> None:
    code = (
        "import sys, cardiouq.evaluation.scoring, cardiouq.evaluation.comparison\n"
        "assert not {'torch', 'monai'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
