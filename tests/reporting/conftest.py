"""A small made-up study's results, as the rooms before reporting leave them."""

from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from cardiouq.data.readers.identity import hash_of
from cardiouq.reporting.style import MethodStyle, method_styles
from cardiouq.structures import STRUCTURES, label_of
from cardiouq.study.study import Study as Settings
from tests.paths import CONFIG, LOCAL_CONFIG, TINY

METHODS = {
    "vanilla": "Vanilla",
    "temperature_scaling": "Temp. Scaling",
    "swa": "SWA",
    "mc_dropout": "MC-Dropout",
    "deep_ensemble": "Deep Ens.",
    "checkpoint_ensemble_single": "Ckpt. Ens. (Single)",
    "checkpoint_ensemble_multi": "Ckpt. Ens. (Multi)",
}
TEST_SETS = {"val": "Phantom (ID)", "A": "Vendor A (OOD)", "B": "Vendor B (OOD)"}
SHAPE, SPACING = (5, 64, 72), (10.0, 1.9, 1.6)
CYCLES, EPOCHS, N_BINS = 3, 36, 100
MULTI = "checkpoint_ensemble_multi"
SAMPLE_EPOCHS = [8, 9, 10, 11, 20, 21, 22, 23, 32, 33, 34, 35]


class Study(NamedTuple):
    """Where the made-up results lie, and what they hold."""

    root: Path
    cases: pd.DataFrame
    scores: pd.DataFrame
    calibration: pd.DataFrame


@pytest.fixture(scope="session")
def styles() -> dict[str, MethodStyle]:
    """Those of the tiny study's methods, which are all that there are."""
    return method_styles(Settings(str(TINY), LOCAL_CONFIG, CONFIG).styles)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))


def make_study(root: Path) -> Study:
    """Write the results of seven methods on three test sets of two subjects, ED and ES."""
    rng = np.random.default_rng(7)
    cases, members, scores, bins = [], [], [], []
    for difficulty, test_set in enumerate(TEST_SETS):
        for number in range(2):
            subject = f"{test_set}{number + 1:03d}"
            for phase in ("ED", "ES"):
                case = f"{subject}_{phase}"
                reference = heart(rng, 1.0 if phase == "ED" else 0.8)
                cases.append(write_scan(root / "scans", case, subject, phase, reference, rng))
                members.append({"test_set": test_set, "case": case})
                error = rng.normal(0, 0.5 + 0.8 * difficulty + number, 2)
                for rank, method in enumerate(METHODS):
                    folder = root / "prediction" / method / test_set
                    about = {"method": method, "test_set": test_set, "case": case}
                    probabilities = predict(reference, error * (1 - 0.08 * rank), 0.8 + 0.15 * rank)
                    predicted = write_prediction(folder, case, probabilities, error, method)
                    scores += score(
                        about | {"subject": subject, "phase": phase}, reference, predicted
                    )
                    bins.append(calibrate(about, reference, probabilities))
    tables = Study(root, pd.DataFrame(cases), pd.DataFrame(scores), pd.concat(bins))
    (root / "data").mkdir()
    tables.cases.to_csv(root / "data/cases.csv", index=False)
    pd.DataFrame(members).to_csv(root / "data/test_sets.csv", index=False)
    for method in METHODS:
        folder = root / "evaluation" / method
        folder.mkdir(parents=True)
        for name in ("scores", "calibration"):
            table = getattr(tables, name)
            table[table["method"] == method].to_csv(folder / f"{name}.csv", index=False)
    samples = pd.DataFrame({"sample": range(len(SAMPLE_EPOCHS)), "epoch": SAMPLE_EPOCHS})
    samples.assign(recipe="cyclical", seed=0).to_csv(
        root / f"prediction/{MULTI}/samples.csv", index=False
    )
    write_runs(root / "training", rng)
    return tables


def heart(rng: np.random.Generator, scale: float) -> NDArray[np.uint8]:
    """Labels of a left ventricle in its wall and a right one beside it; the apex has no RV."""
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    y, x = (rows * SPACING[1], columns * SPACING[2])
    centre_y, centre_x = rng.uniform(55, 65), rng.uniform(55, 65)
    labels = np.zeros(SHAPE, np.uint8)
    for z in range(SHAPE[0]):
        size = scale * (1 - 0.15 * z)
        distance = np.hypot(y - centre_y, x - centre_x)
        if z < SHAPE[0] - 1:
            beside = np.hypot((y - centre_y) / 1.2, x - centre_x + 26 * size) < 22 * size
            labels[z][beside] = label_of("RV")
        labels[z][distance < 30 * size] = label_of("MYO")
        labels[z][distance < 20 * size] = label_of("LV")
    return labels


def write_scan(
    folder: Path,
    case: str,
    subject: str,
    phase: str,
    reference: NDArray[np.uint8],
    rng: np.random.Generator,
) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    blood = np.array([60.0, 190.0, 80.0, 200.0])[reference]
    image = gaussian_filter(blood, (0, 0.7, 0.7)) + rng.normal(0, 12, SHAPE)
    hashes = {"image_hash": hash_of(image.astype(np.float32)), "label_hash": hash_of(reference)}
    paths = {name: folder / f"{case}_{name}.nii.gz" for name in ("image", "label")}
    write_nifti(image.astype(np.float32), paths["image"])
    write_nifti(reference, paths["label"])
    geometry = {f"spacing_{axis}": mm for axis, mm in zip("zyx", SPACING, strict=True)}
    about = {
        "case": case,
        "dataset": "made-up",
        "labels": "background=0 RV=1 MYO=2 LV=3",
        "subject": subject,
    }
    files = {name: str(path) for name, path in paths.items()}
    return about | geometry | {"phase": phase, "frame": -1} | files | hashes


def write_nifti(volume: NDArray[np.generic], path: Path) -> None:
    nib.save(nib.Nifti1Image(volume.T, np.diag([*SPACING[::-1], 1.0])), path)


def predict(
    reference: NDArray[np.uint8], error: NDArray[np.float64], blur: float
) -> NDArray[np.float64]:
    """Probabilities (classes, slices, rows, columns): the reference, displaced and blurred."""
    one_hot = np.stack([reference == label for label in range(4)]).astype(float)
    moved = shift(one_hot, (0, 0, *error), order=1, mode="nearest")
    soft = gaussian_filter(moved, (0, 0.15, blur, blur)) + 1e-4
    return soft / soft.sum(0)


def write_prediction(
    folder: Path,
    case: str,
    probabilities: NDArray[np.float64],
    error: NDArray[np.float64],
    method: str,
) -> NDArray[np.uint8]:
    folder.mkdir(parents=True, exist_ok=True)
    predicted = probabilities.argmax(0).astype(np.uint8)
    entropy = -(probabilities * np.log2(probabilities)).sum(0).astype(np.float32)
    write_nifti(predicted, folder / f"{case}_segmentation.nii.gz")
    write_nifti(entropy, folder / f"{case}_entropy.nii.gz")
    if method == MULTI:
        steps = np.linspace(-1, 1, len(SAMPLE_EPOCHS))
        samples = [shift(predicted, (0, *(step * error)), order=0) for step in steps]
        write_nifti(np.stack(samples), folder / f"{case}_samples.nii.gz")
    return predicted


def score(
    about: dict[str, str], reference: NDArray[np.uint8], predicted: NDArray[np.uint8]
) -> list[dict[str, object]]:
    rows = []
    for structure in STRUCTURES:
        ours, theirs = predicted == label_of(structure), reference == label_of(structure)
        dice = 2 * (ours & theirs).sum() / max(1, ours.sum() + theirs.sum())
        empty = {"reference_empty": not theirs.any(), "predicted_empty": not ours.any()}
        rows.append(about | {"structure": structure, "dice": dice} | empty)
    return rows


def calibrate(
    about: dict[str, str], reference: NDArray[np.uint8], probabilities: NDArray[np.float64]
) -> pd.DataFrame:
    confidence = probabilities.max(0).ravel()
    voxels = pd.DataFrame(
        {
            "bin": np.ceil(confidence * N_BINS).astype(int),
            "voxels": 1,
            "confidence": confidence,
            "correct": (probabilities.argmax(0) == reference).ravel().astype(int),
        }
    )
    return voxels.groupby("bin", as_index=False).sum().assign(**about)


def write_runs(folder: Path, rng: np.random.Generator) -> None:
    """Histories of three recipes, and the way of the cyclical one's last layer."""
    epoch = np.arange(EPOCHS)
    place = epoch % (EPOCHS // CYCLES)
    rates = {
        "polynomial-1a": 0.01 * (1 - epoch / EPOCHS) ** 0.9,
        "cyclical-2b": np.where(place == 0, 0.1, 0.01 * (1 - place / EPOCHS) ** 0.9),
        "dropout-3c": 0.01 * (1 - epoch / EPOCHS) ** 0.9,
    }
    for recipe, rate in rates.items():
        for seed in range(3 if recipe.startswith("polynomial") else 1):
            run = folder / recipe / f"seed-{seed}"
            run.mkdir(parents=True)
            loss = np.exp(-epoch / 10) + rng.normal(0, 0.02, EPOCHS) + (rate > 0.05) * 0.4
            history = {"epoch": epoch, "learning_rate": rate, "train_loss": loss}
            history |= {"validation_loss": loss + 0.1, "validation_dice": 0.9 - 0.6 * loss.clip(0)}
            pd.DataFrame(history).to_csv(run / "history.csv", index=False)
    centres = rng.normal(0, 0.5, (CYCLES, 40))[epoch * CYCLES // EPOCHS]
    layer = centres + np.cumsum(rng.normal(0, 0.2, (EPOCHS, 40)), axis=0)
    np.save(folder / "cyclical-2b/seed-0/last_layer.npy", layer.astype(np.float32))
