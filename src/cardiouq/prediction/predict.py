"""Prediction of one method on all of its test sets: networks outermost, running sums inside."""

import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from inspect import getfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cardiouq.data.readers.scans import Case
from cardiouq.device.choose import device_name, make_deterministic
from cardiouq.errors import CardiouqError
from cardiouq.files.asked import note_asked
from cardiouq.files.documents import write_json
from cardiouq.files.locks import exclusive_lock
from cardiouq.files.run_files import ASKED_FILE, MACHINE_FILE
from cardiouq.files.writing import atomic_folder, atomic_write
from cardiouq.methods.base import BaseMethod, Draw, Fitted, Sample, Sampler
from cardiouq.prediction.activations import Activations
from cardiouq.prediction.steps import Step
from cardiouq.prediction.sums import CaseSums
from cardiouq.provenance.record import note_machine
from cardiouq.seeds import derive
from cardiouq.structures import N_CLASSES

log = logging.getLogger(__name__)

SUMS_BYTES = 2**30
"""Memory for the sums of cases; networks are loaded once for all cases that it has room for."""


def predict(
    sampler: Sampler,
    test_sets: Mapping[str, Sequence[Case]],
    seed: int,
    output: Path,
    asked: Mapping[str, Any] | None = None,
) -> None:
    """Predict every test set with one method.

    Each network sees all cases, or as many as their sums have room for, before the next one is
    made. The products of a case go to `output/<test set>/`; `samples.csv` says which weights each
    sample had and its processor time, `activations.csv` what the probabilities of each case no
    longer tell, `fitted.json` what the method learnt from held-out subjects, `machine.json` where,
    `asked.json` with which settings and runs.
    They take the place of what another prediction left there, once that has ended.

    Args:
        sampler: the method with its networks.
        test_sets: the cases of each test set.
        seed: of whatever a method draws while it predicts.
        output: folder to write to.
        asked: settings and runs to note; None: none.
    """
    with exclusive_lock(output):
        _predict(sampler, test_sets, seed, output)
        if asked is not None:
            note_asked(output, asked)


def _predict(
    sampler: Sampler, test_sets: Mapping[str, Sequence[Case]], seed: int, output: Path
) -> None:
    make_deterministic()
    output.mkdir(parents=True, exist_ok=True)
    (output / MACHINE_FILE).unlink(missing_ok=True)
    note_machine(output, device_name(sampler.device), sampler.precision)
    method, fitted = sampler.method, sampler.fit()
    cases = {case.case: case for members in test_sets.values() for case in members}
    drawn: list[tuple[Sample, float]] = []
    seconds: dict[int, float] = defaultdict(float)
    activations = Activations()
    before = 0
    with ExitStack() as whole:
        folders = {name: whole.enter_context(atomic_folder(output / name)) for name in test_sets}
        for group in groups(list(cases.values()), sampler.sample_count):
            sums, drawn = sum_samples(sampler, fitted, group, seed, activations, before, len(cases))
            before += len(group)
            for index, (_, taken) in enumerate(drawn):
                seconds[index] += taken
            for test_set, members in test_sets.items():
                for name in sums.keys() & {case.case for case in members}:
                    sums[name].write(
                        folders[test_set], lambda mean, labels: method.combine(mean, labels, fitted)
                    )
        # from here on what is there is of two predictions, or of this one
        (output / ASKED_FILE).unlink(missing_ok=True)
    learnt = {name: np.asarray(value).tolist() for name, value in fitted.items()}
    write_json(output / "fitted.json", learnt)
    with atomic_write(output / "activations.csv") as temporary:
        activations.table().to_csv(temporary, index=False)
    with atomic_write(output / "samples.csv") as temporary:
        rows = [
            (index, str(sample.member), sample.epoch, round(seconds[index], 3))
            for index, (sample, _) in enumerate(drawn)
        ]
        columns = ["sample", "member", "epoch", "processor_seconds"]
        pd.DataFrame(rows, columns=columns).to_csv(temporary, index=False)


def sum_samples(
    sampler: Sampler,
    fitted: Fitted,
    cases: Sequence[Case],
    seed: int,
    activations: Activations,
    before: int = 0,
    volumes: int | None = None,
) -> tuple[dict[str, CaseSums], list[tuple[Sample, float]]]:
    """Draw all samples of a few cases, whose sums there is memory for.

    Args:
        sampler: the method with its networks.
        fitted: what it learnt.
        cases: see each network in turn.
        seed: of whatever the method draws.
        activations: takes in those of each case.
        before: how many cases came before these, for the log.
        volumes: how many there are in all; None: these.

    Returns:
        Name of each case -> its sums; each sample with the processor time of its networks, s.
    """
    sums = {case.case: CaseSums(case) for case in cases}
    drawn: list[tuple[Sample, float]] = []
    for draw in _seeded(sampler.draws(fitted), seed):
        start = time.process_time()
        for case in cases:
            torch.manual_seed(derive(seed, "prediction", len(drawn), case.case))
            scan = sampler.prepare(case)
            with activations.of_bottleneck(case.case):
                output = scan.output(draw.network)
            for logits in _logits(draw, output, sampler.method):
                activations.add_logits(case.case, logits)
                sums[case.case].add(scan.probabilities(logits))
        taken = time.process_time() - start
        drawn += [(sample, taken / len(draw.samples)) for sample in draw.samples]
        last = before + len(cases)
        counts = len(drawn), sampler.sample_count, before + 1, last, volumes or last
        log.info(Step(*counts, taken))
    return sums, drawn


def groups(cases: Sequence[Case], samples: int) -> Iterator[list[Case]]:
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
