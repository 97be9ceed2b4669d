"""Prediction of one method on all of its test sets: networks outermost, running sums inside."""

import itertools
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from inspect import getfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cardiouq.data.readers.scans import Case
from cardiouq.device.choose import device_name
from cardiouq.errors import CardiouqError
from cardiouq.files.locks import exclusive_lock
from cardiouq.files.reading import read_array
from cardiouq.files.run_files import MACHINE_FILE
from cardiouq.files.writing import atomic_folder, atomic_write
from cardiouq.methods.base import BaseMethod, Draw, Runs
from cardiouq.prediction.predictor import Predictor, probabilities
from cardiouq.prediction.sums import CaseSums
from cardiouq.provenance.record import note_machine
from cardiouq.recipes.schedule import Schedule
from cardiouq.seeds import derive

log = logging.getLogger(__name__)

SCRATCH_PREFIX = ".sums-"


def predict(
    method: BaseMethod,
    runs: Runs,
    schedule: Schedule,
    test_sets: Mapping[str, Sequence[Case]],
    arrays: Sequence[Path],
    predictor: Predictor,
    seed: int,
    output: Path,
) -> None:
    """Predict every test set with one method.

    Each network is made once and sees all cases before the next one is made. The products of a
    case go to `output/<test set>/`; `samples.csv` says which weights each sample had and how long
    it took, `fitted.json` what the method learnt from held-out subjects, `machine.json` where. They
    take the place of what another prediction left there, once that has ended.

    Args:
        method: draws the samples.
        runs: the finished runs of the method's recipe.
        schedule: that recipe's.
        test_sets: the cases of each test set.
        arrays: folders of the preprocessed volumes.
        predictor: applies a network to a volume.
        seed: of whatever a method draws while it predicts.
        output: folder to write to.
    """
    with exclusive_lock(output):
        _predict(method, runs, schedule, test_sets, arrays, predictor, seed, output)


def _predict(
    method: BaseMethod,
    runs: Runs,
    schedule: Schedule,
    test_sets: Mapping[str, Sequence[Case]],
    arrays: Sequence[Path],
    predictor: Predictor,
    seed: int,
    output: Path,
) -> None:
    rows: list[dict[str, Any]] = []
    output.mkdir(parents=True, exist_ok=True)
    for left_behind in output.glob(f"{SCRATCH_PREFIX}*"):  # by a killed prediction
        shutil.rmtree(left_behind, ignore_errors=True)
    (output / MACHINE_FILE).unlink(missing_ok=True)
    note_machine(output, device_name(predictor.device), "float32")
    fitted = method.fit(runs, schedule)
    with tempfile.TemporaryDirectory(dir=output, prefix=SCRATCH_PREFIX) as scratch:
        cases = {case.case: case for members in test_sets.values() for case in members}
        sums = {name: CaseSums(case, Path(scratch)) for name, case in cases.items()}
        files = {
            path.name.removesuffix("_image.npy"): path
            for folder in arrays
            for path in folder.glob("*_image.npy")
        }
        for draw in _seeded(method.draws(runs, schedule, fitted), seed):
            start = time.monotonic()
            for name, case in cases.items():
                torch.manual_seed(derive(seed, "prediction", len(rows), name))
                image = read_array(files[name])
                blended = predictor.output(draw.network, image)
                for logits in _logits(draw, blended, method):
                    sums[name].add(probabilities(logits, case, predictor.plan))
            seconds = time.monotonic() - start
            rows += [
                {
                    "sample": len(rows) + index,
                    "member": str(sample.member),
                    "epoch": sample.epoch,
                    "seconds": round(seconds / len(draw.samples), 3),
                }
                for index, sample in enumerate(draw.samples)
            ]
            log.info("%d sample(s) of %d volumes, %.0f s", len(rows), len(cases), seconds)
        for test_set, members in test_sets.items():
            with atomic_folder(output / test_set) as folder:
                for case in members:
                    sums[case.case].write(
                        folder, lambda mean, labels: method.combine(mean, labels, fitted)
                    )
    with atomic_write(output / "fitted.json") as temporary:
        learnt = {name: np.asarray(value).tolist() for name, value in fitted.items()}
        temporary.write_text(json.dumps(learnt, indent=2) + "\n", encoding="utf-8")
    with atomic_write(output / "samples.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def _seeded(draws: Iterator[Draw], seed: int) -> Iterator[Draw]:
    """The draws, each made from random numbers of its own."""
    for index in itertools.count():
        torch.manual_seed(derive(seed, "draw", index))
        draw = next(draws, None)
        if draw is None:
            return
        yield draw


def _logits(draw: Draw, output: torch.Tensor, method: BaseMethod) -> Iterator[torch.Tensor]:
    """Logits of each sample of a draw; a CardiouqError if they are not as many as it names."""
    for sample, logits in itertools.zip_longest(draw.samples, draw.logits(output)):
        if sample is None or logits is None:
            given = "more" if sample is None else "fewer"
            raise CardiouqError(
                f"{getfile(type(method))}: a Draw of {len(draw.samples)} samples, whose `logits` "
                f"give {given} tensors; expected one for each sample"
            )
        yield logits
