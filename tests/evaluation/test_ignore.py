"""Where nobody annotated there is no score: as if these voxels had been cut out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from cardiouq.data.case_table import read_case_table
from cardiouq.evaluation import SCORE_TABLES
from cardiouq.evaluation.quality_control import slice_position
from cardiouq.evaluation.scoring import score_method
from tests.evaluation.conftest import SETTINGS, SHAPE, case_row, heart, save_prediction

Labels = NDArray[np.uint8]
LABELS = "background=0 RV=1 MYO=2 LV=3 ignore=4,5"
UNKNOWN = 4
KNOWN = slice(0, 2), slice(1, 18), slice(2, 16)
"""A box that holds the heart in two of three slices."""


def guesses(seed: int = 0) -> list[Labels]:
    """Segmentations by three samples, with wrong voxels everywhere."""
    rng = np.random.default_rng(seed)
    return [
        np.where(rng.random(SHAPE) < 0.1, rng.integers(0, 4, SHAPE), heart(s)).astype(np.uint8)
        for s in (-1, 0, 1)
    ]


def in_part(known: Any = KNOWN, unknown: int = UNKNOWN) -> Labels:
    """The heart's labels in the part that someone annotated."""
    label = np.full(SHAPE, unknown, np.uint8)
    label[known] = heart()[known]
    return label


def score(
    root: Path, label: Labels, samples: Sequence[Labels], **ece: Any
) -> dict[str, pd.DataFrame]:
    """Every table of one case."""
    row = case_row(root, "p1", "ED", label, LABELS)
    save_prediction(root / "prediction" / "id", row["case"], list(samples))
    pd.DataFrame([row]).to_csv(root / "cases.csv", index=False)
    test_sets = pd.DataFrame({"test_set": ["id"], "case": [row["case"]]})
    settings = SETTINGS | {"ece": SETTINGS["ece"] | ece}
    cases = read_case_table(root / "cases.csv")
    return score_method("m", root / "prediction", cases, test_sets, settings, ["id"], 1)


@pytest.mark.parametrize("box", ["reference", "prediction"])
@pytest.mark.parametrize("margin", [0, 3])
def test_scores_are_those_of_the_annotated_box_cut_out(
    tmp_path: Path, box: str, margin: int
) -> None:
    """Surface distances too: what nobody annotated is taken for outside of the image."""
    found = score(tmp_path / "whole", in_part(), guesses(), box=box, margin=margin)
    cut = [sample[KNOWN] for sample in guesses()]
    expected = score(tmp_path / "cut", heart()[KNOWN], cut, box=box, margin=margin)
    assert expected["scores"]["dice"].between(0.3, 0.99).all()
    assert (expected["slice_scores"]["assd_mm"] > 0).all()
    for name in SCORE_TABLES:
        pd.testing.assert_frame_equal(found[name], expected[name], rtol=1e-9)


def test_means_over_voxels_are_over_scattered_annotated_ones(tmp_path: Path) -> None:
    """By boolean indexing, on scribbles."""
    known = np.random.default_rng(1).random(SHAPE) < 0.2
    tables = score(tmp_path, in_part(known), guesses())
    probabilities = np.load(tmp_path / "prediction/id/p1_ED_probabilities.npy").astype(float)
    p, truth = probabilities[:, known], heart()[known]
    of_truth = p[truth, np.arange(len(truth))]
    voxels = tables["voxels"].iloc[0]
    assert voxels["nll_nats"] == pytest.approx(-np.log(of_truth).mean())
    assert voxels["brier"] == pytest.approx(((p - np.eye(4)[:, truth]) ** 2).sum(0).mean())
    in_slice = known[1]
    of_slice = np.take_along_axis(probabilities[:, 1], heart()[1][None].astype(int), 0)[0]
    assert tables["slice_voxels"]["nll_nats"][1] == pytest.approx(
        -np.log(of_slice[in_slice]).mean()
    )
    bins = tables["calibration"].query("label == 'top'")
    rows, columns = np.nonzero((heart() * known > 0).any(0))
    inside = np.zeros(SHAPE, bool)
    inside[0:2, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    inside &= known
    assert bins["voxels"].sum() == inside.sum()
    assert bins["confidence"].sum() == pytest.approx(probabilities[:, inside].max(0).sum())
    right = probabilities[:, inside].argmax(0) == heart()[inside]
    assert bins["correct"].sum() == right.sum()
    volumes = tables["scores"].set_index("structure")
    segmentation = np.array(guesses())[:, known]
    for label, name in enumerate(("RV", "MYO", "LV"), start=1):
        assert volumes.loc[name, "reference_ml"] == pytest.approx((truth == label).sum() * 0.03)
        of_samples = tables["sample_volumes"].query(f"structure == '{name}'")["ml"].to_numpy()
        np.testing.assert_allclose(of_samples, (segmentation == label).sum(1) * 0.03)


@pytest.mark.parametrize(
    "known",
    [KNOWN, np.random.default_rng(2).random(SHAPE) < 0.3, (slice(None), slice(9, 20), slice(None))],
    ids=["box", "scribbles", "half"],
)
def test_no_score_depends_on_what_is_predicted_or_written_where_nobody_annotated(
    tmp_path: Path, known: Any
) -> None:
    label, other_label = in_part(known), in_part(known, unknown=5)
    other = [
        np.where(label == UNKNOWN, changed, sample)
        for sample, changed in zip(guesses(), guesses(seed=3), strict=True)
    ]
    assert all((a != b).any() for a, b in zip(other, guesses(), strict=True))
    for box in ("reference", "prediction"):
        found = score(tmp_path / box / "a", label, guesses(), box=box, margin=2)
        changed = score(tmp_path / box / "b", other_label, other, box=box, margin=2)
        for name in SCORE_TABLES:
            pd.testing.assert_frame_equal(found[name], changed[name], check_exact=True)


def test_a_slice_that_nobody_annotated_has_no_row_and_so_no_agreement(tmp_path: Path) -> None:
    label = heart()
    label[1] = UNKNOWN
    nothing = [np.zeros(SHAPE, np.uint8)]  # would agree there
    tables = score(tmp_path, label, nothing)
    assert tables["slice_voxels"]["slice"].tolist() == [0, 2]
    dice = tables["slice_scores"].groupby("slice")["dice"].unique()
    assert dice.map(list).to_dict() == {0: [0.0], 2: [1.0]}  # a heart missed, and none to find


def test_background_scribbles_alone_are_scored(tmp_path: Path) -> None:
    label = np.full(SHAPE, UNKNOWN, np.uint8)
    label[1, 18:, :] = 0
    tables = score(tmp_path, label, [np.zeros(SHAPE, np.uint8)])
    assert (tables["scores"]["dice"] == 1).all()
    assert (tables["scores"][["reference_empty", "predicted_empty"]]).all(axis=None)
    missed = np.zeros(SHAPE, np.uint8)
    missed[1, 19, 3] = 2
    tables = score(tmp_path / "other", label, [missed])
    assert tables["scores"].set_index("structure")["dice"].to_dict() == {
        "RV": 1,
        "MYO": 0,
        "LV": 1,
        "foreground": 0,
    }


def test_clinical_quantities_are_of_whole_volumes(tmp_path: Path) -> None:
    rows = []
    for subject, phase, label in [
        *(("whole", phase, heart()) for phase in ("ED", "ES")),
        *(("part", phase, in_part()) for phase in ("ED", "ES")),
        ("mixed", "ED", heart()),
        ("mixed", "ES", in_part()),
    ]:
        rows.append(case_row(tmp_path, subject, phase, label, LABELS))
        save_prediction(tmp_path / "prediction" / "id", rows[-1]["case"], guesses())
    pd.DataFrame(rows).to_csv(tmp_path / "cases.csv", index=False)
    cases = read_case_table(tmp_path / "cases.csv")
    test_sets = pd.DataFrame({"test_set": "id", "case": cases["case"]})
    tables = score_method("m", tmp_path / "prediction", cases, test_sets, SETTINGS, ["id"], 1)
    assert set(tables["subjects"]["subject"]) == {"whole"}
    assert set(tables["scores"]["subject"]) == {"whole", "part", "mixed"}


def test_a_volume_goes_from_its_first_annotated_slice_to_the_last() -> None:
    slices = pd.DataFrame({"case": ["a"] * 3 + ["b"] * 3, "slice": [2, 4, 6, 0, 1, 2]})
    assert slice_position(slices).tolist() == [1, 0, 1, 1, 0, 1]
