"""What it costs that files are compared with the hashes noted when they were made.

    make bench-checking

Three jobs at the size of the laptop study, each in a process of its own, and each the one whose
checking is the largest share: a training of 10 epochs (the shortest of that study has 80), the
prediction of one network, and the evaluation of that. Of each process the CPU time, from the start
of the interpreter, and that of all it does to note and to compare hashes; the median of some
rounds.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from sizes import LAPTOP

from cardiouq.data.case_table import read_case_table
from cardiouq.data.cases import make_case_table
from cardiouq.data.phantom.generate import generate
from cardiouq.data.preprocessing import preprocess_case
from cardiouq.data.readers import scans
from cardiouq.data.readers.found import DataFolder
from cardiouq.evaluation import scoring
from cardiouq.files import reading, writing
from cardiouq.files.documents import write_json
from cardiouq.files.run_files import RUN_FILE, checkpoint_file
from cardiouq.files.writing import atomic_folder, atomic_write
from cardiouq.methods import build_method
from cardiouq.methods.base import Member
from cardiouq.prediction.predict import predict
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import HeldOut, RunOnDisk
from cardiouq.prediction.sampler import RunSampler, images_in
from cardiouq.recipes.network import build_network
from cardiouq.recipes.schedule import PolynomialSchedule
from cardiouq.training import train as training
from cardiouq.training.checkpoints import save_tensors
from cardiouq.training.run import Run

ROUNDS = 5
SUBJECTS = 100
"""Of ACDC's training part, two volumes each; of these a fifth is held out."""
PREDICTED = 6
"""Subjects of the phantom, two volumes each."""
SHAPE = (10, 190, 166)
"""A median scan of ACDC on the plan's grid."""
RECIPE: dict[str, Any] = {
    "schedule": {"name": "polynomial", "epochs": 10, "alpha_0": 0.003, "epsilon": 0.9},
    "optimiser": {"name": "adamw", "weight_decay": 0.01},
    "iterations_per_epoch": 20,
    "batch_size": 8,
    "foreground_share": 0.33,
    "dropout": {"p": 0.0, "place": "all"},
    "augmentation": {"rotation_degrees": 180, "scale": [0.7, 1.4], "mirror": True},
    "validation_batches": 2,
}
EVALUATION = {
    "ece": {"bins": 100, "box": "reference", "margin": 0, "pool": "voxels"},
    "surface": {"assd": "pooled", "tolerance_mm": 2.0},
    "bootstrap": {"resamples": 1, "confidence": 0.95},
}
FINGERPRINT = "0123456789ab"


def prepare(folder: Path) -> None:
    """What earlier jobs would have made."""
    rng = np.random.default_rng(0)
    with atomic_folder(folder / "arrays") as arrays:
        for name in training_cases():
            label = np.zeros(SHAPE, np.uint8)
            label[1:, 70:110, 60:100] = rng.integers(1, 4, (SHAPE[0] - 1, 40, 40))
            np.save(arrays / f"{name}_image.npy", rng.normal(size=SHAPE).astype(np.float32))
            np.save(arrays / f"{name}_label.npy", label)
    generate(folder / "phantom", acdc_subjects=PREDICTED, mnms_subjects_per_vendor=1, seed=0)
    cases = make_case_table({"phantom": DataFolder("acdc", folder / "phantom" / "acdc")})
    with atomic_folder(folder / "predicted_arrays") as arrays:
        for case in cases.itertuples():
            preprocess_case(case, LAPTOP, arrays, with_label=False)
    with atomic_write(folder / "cases.csv") as temporary:
        cases.to_csv(temporary, index=False)
    torch.manual_seed(0)
    network = build_network(LAPTOP, RECIPE["dropout"])
    run = folder / "seed-0"
    save_tensors(dict(network.named_parameters()), run / checkpoint_file(0))
    identity = {"recipe": RECIPE, "member": "0", "data_fingerprint": FINGERPRINT}
    write_json(run / RUN_FILE, identity)


def training_cases() -> list[str]:
    return [f"patient{n:03d}_{phase}" for n in range(SUBJECTS) for phase in ("ED", "ES")]


def train(folder: Path) -> None:
    names = training_cases()
    epochs = RECIPE["schedule"]["epochs"]
    run = Run(
        recipe_name="polynomial",
        recipe=RECIPE,
        member=Member(),
        seed=0,
        keep_epochs=(epochs - 1,),
        branch_epochs=(),
        plan=LAPTOP,
        arrays=folder / "arrays",
        train_cases=tuple(names[2 * SUBJECTS // 5 :]),
        validation_cases=tuple(names[: 2 * SUBJECTS // 5]),
        fingerprint=FINGERPRINT,
    )
    with tempfile.TemporaryDirectory(dir=folder) as output:
        training.train(run, Path(output, "seed-0"), torch.device("cpu"))


def predict_all(folder: Path) -> None:
    device = torch.device("cpu")
    predictor = Predictor(LAPTOP, 0.5, device)
    held_out = HeldOut((), folder / "predicted_arrays", predictor)
    of_run = folder / "seed-0", RECIPE, Member(), LAPTOP, FINGERPRINT, device, held_out
    sampler = RunSampler(
        build_method({"method": "single"}),
        [RunOnDisk(*of_run, lambda: "")],
        PolynomialSchedule(epochs=1, alpha_0=0.01, epsilon=0.9),
        predictor,
        images_in([folder / "predicted_arrays"]),
    )
    predict(
        sampler,
        test_sets={"id": list(read_case_table(folder / "cases.csv").itertuples())},  # type: ignore[list-item]
        seed=0,
        output=folder / "predicted",
    )


def evaluate(folder: Path) -> None:
    cases = read_case_table(folder / "cases.csv")
    tested = pd.DataFrame({"test_set": "id", "case": cases["case"]})
    scoring.score_method("vanilla", folder / "predicted", cases, tested, EVALUATION, ["id"], seed=0)


JOBS: dict[str, Callable[[Path], None]] = {
    "training, 10 epochs": train,
    "prediction, one network": predict_all,
    "evaluation, one sample": evaluate,
}
SPENT: list[float] = []
"""Seconds of all that is timed."""


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            SPENT.append(time.process_time() - start)

    return run


def time_the_checking() -> None:
    """Every function that notes a hash or compares one; none calls another."""
    hashlib: Any = reading.hashlib
    reading.hashlib = SimpleNamespace(  # type: ignore[attr-defined]
        sha256=timed(hashlib.sha256), file_digest=timed(hashlib.file_digest)
    )
    places = {
        reading: ("_noted",),
        writing: ("_hash", "write_hashes"),
        scans: ("hash_of",),
        scoring: ("_check_segmentation",),
    }
    for module, names in places.items():
        for name in names:
            setattr(module, name, timed(getattr(module, name)))


def main() -> None:
    if len(sys.argv) == 3:
        torch.set_num_threads(1)
        time_the_checking()
        JOBS[sys.argv[1]](Path(sys.argv[2]))
        print(json.dumps([time.process_time(), sum(SPENT)]))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        print(f"{ROUNDS} rounds, CPU time\n{'':34}{'s':>7}{'checking ms':>13}{'share':>9}")
        for name in JOBS:
            command = [sys.executable, __file__, name, folder]
            rounds = [
                json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
                for _ in range(ROUNDS)
            ]
            seconds, checking = (statistics.median(values) for values in zip(*rounds, strict=True))
            share = statistics.median(part / whole for whole, part in rounds)
            print(f"{name:34}{seconds:7.2f}{1000 * checking:13.1f}{share:9.2%}")


if __name__ == "__main__":
    main()
