"""Prediction of one method on all of its test sets: networks outermost, running sums inside."""

import itertools
import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from inspect import getfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cardiouq.data.readers.scans import Case
from cardiouq.device.choose import device_name, make_deterministic, precision
from cardiouq.errors import CardiouqError
from cardiouq.files.locks import exclusive_lock
from cardiouq.files.reading import read_array
from cardiouq.files.run_files import MACHINE_FILE
from cardiouq.files.writing import atomic_folder, atomic_write
from cardiouq.methods.base import BaseMethod, Draw, Runs, Sample
from cardiouq.prediction.predictor import Predictor, probabilities
from cardiouq.prediction.sums import CaseSums
from cardiouq.provenance.record import note_machine
from cardiouq.recipes.schedule import Schedule
from cardiouq.seeds import derive
from cardiouq.structures import N_CLASSES

log = logging.getLogger(__name__)

SUMS_BYTES = 2**30
"""Memory for the sums of cases; networks are loaded once for all cases that it has room for."""


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

    Each network sees all cases, or as many as their sums have room for, before the next one is
    made. The products of a case go to `output/<test set>/`; `samples.csv` says which weights each
    sample had and how long it took, `fitted.json` what the method learnt from held-out subjects,
    `machine.json` where. They take the place of what another prediction left there, once that has
    ended.

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
    make_deterministic()
    output.mkdir(parents=True, exist_ok=True)
    (output / MACHINE_FILE).unlink(missing_ok=True)
    note_machine(output, device_name(predictor.device), precision(predictor.device))
    fitted = method.fit(runs, schedule)
    cases = {case.case: case for members in test_sets.values() for case in members}
    files = {
        path.name.removesuffix("_image.npy"): path
        for folder in arrays
        for path in folder.glob("*_image.npy")
    }
    samples: list[Sample] = []
    seconds: dict[int, float] = defaultdict(float)
    with ExitStack() as whole:
        folders = {name: whole.enter_context(atomic_folder(output / name)) for name in test_sets}
        for group in _groups(list(cases.values()), len(runs) * method.samples_per_run(schedule)):
            sums = {case.case: CaseSums(case) for case in group}
            samples.clear()
            for draw in _seeded(method.draws(runs, schedule, fitted), seed):
                start = time.monotonic()
                for case in group:
                    torch.manual_seed(derive(seed, "prediction", len(samples), case.case))
                    image = read_array(files[case.case])
                    blended = predictor.output(draw.network, image)
                    for logits in _logits(draw, blended, method):
                        sums[case.case].add(probabilities(logits, case, predictor.plan))
                taken = time.monotonic() - start
                for index in range(len(samples), len(samples) + len(draw.samples)):
                    seconds[index] += taken / len(draw.samples)
                samples += draw.samples
                log.info("%d sample(s) of %d volumes, %.0f s", len(samples), len(group), taken)
            for test_set, members in test_sets.items():
                for name in sums.keys() & {case.case for case in members}:
                    sums[name].write(
                        folders[test_set], lambda mean, labels: method.combine(mean, labels, fitted)
                    )
    with atomic_write(output / "fitted.json") as temporary:
        learnt = {name: np.asarray(value).tolist() for name, value in fitted.items()}
        temporary.write_text(json.dumps(learnt, indent=2) + "\n", encoding="utf-8")
    with atomic_write(output / "samples.csv") as temporary:
        rows = [
            (index, str(sample.member), sample.epoch, round(seconds[index], 3))
            for index, sample in enumerate(samples)
        ]
        columns = ["sample", "member", "epoch", "seconds"]
        pd.DataFrame(rows, columns=columns).to_csv(temporary, index=False)


def _groups(cases: Sequence[Case], samples: int) -> Iterator[list[Case]]:
    """Cases in their order, as many at a time as `SUMS_BYTES` hold the sums of."""
    group: list[Case] = []
    held = 0
    for case in cases:
        needed = case.slices * case.rows * case.columns * (4 * (N_CLASSES + 2) + samples)
        if group and held + needed > SUMS_BYTES:
            yield group
            group, held = [], 0
        group.append(case)
        held += needed
    if group:
        yield group


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
