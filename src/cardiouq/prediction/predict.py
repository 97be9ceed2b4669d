"""Prediction of one method on all of its test sets: networks outermost, running sums inside."""

import logging
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cardiouq.data.plan import Plan
from cardiouq.data.scans import Case
from cardiouq.files import written_whole
from cardiouq.methods.base import BaseMethod, Sample, TrainedRun
from cardiouq.prediction.sums import CaseSums
from cardiouq.seeds import derive
from cardiouq.training.schedule import Schedule

log = logging.getLogger(__name__)

TILES_AT_ONCE = 8
SCRATCH_PREFIX = ".sums-"


class Predictor:
    """Class probabilities of a preprocessed volume on the case's own grid."""

    def __init__(self, plan: Plan, overlap: float, device: torch.device) -> None:
        # nnU-Net's tiling: patches as in training, weighted by a Gaussian where they overlap
        self.tile = SlidingWindowInferer(
            roi_size=plan.patch_size, sw_batch_size=TILES_AT_ONCE, overlap=overlap, mode="gaussian"
        )
        self.device = device

    @torch.inference_mode()
    def probabilities(
        self,
        network: nn.Module,
        image: NDArray[np.float32],
        temperature: float,
        grid: tuple[int, int],
    ) -> Tensor:
        """softmax(logits / temperature), resampled linearly to the case's own grid.

        Args:
            network: gives logits (batch, classes, rows, columns).
            image: preprocessed volume (slices, rows, columns).
            temperature: 1 leaves the softmax as it is.
            grid: (rows, columns) of the case's own grid.

        Returns:
            (classes, slices, rows, columns) float32 on the CPU.
        """
        slices = torch.from_numpy(image)[:, None].to(self.device)
        logits = self.tile(slices, network)
        probabilities = (logits / temperature).softmax(1)
        resampled = functional.interpolate(probabilities, grid, mode="bilinear")
        return resampled.transpose(0, 1).cpu()


def predict(
    method: BaseMethod,
    runs: Sequence[TrainedRun],
    schedule: Schedule,
    test_sets: Mapping[str, Sequence[Case]],
    arrays: Path,
    predictor: Predictor,
    seed: int,
    output: Path,
) -> None:
    """Predict every test set with one method.

    Each network is made once and sees all cases before the next one is made. The products of a
    case go to `output/<test set>/`; `samples.csv` says which weights each sample had.

    Args:
        method: draws the samples.
        runs: the finished runs of the method's recipe.
        schedule: that recipe's.
        test_sets: the cases of each test set.
        arrays: folder of the preprocessed volumes.
        predictor: applies a network to a volume.
        seed: of whatever a network draws while it predicts.
        output: folder to write to.
    """
    drawn: list[Sample] = []
    start = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    for left_behind in output.glob(f"{SCRATCH_PREFIX}*"):  # by a killed prediction
        shutil.rmtree(left_behind)
    with tempfile.TemporaryDirectory(dir=output, prefix=SCRATCH_PREFIX) as scratch:
        cases = {case.case: case for members in test_sets.values() for case in members}
        sums = {name: CaseSums(case, Path(scratch)) for name, case in cases.items()}
        for sample, network in method.samples(runs, schedule):
            for name, case in cases.items():
                torch.manual_seed(derive(seed, "prediction", len(drawn), name))
                image = np.load(arrays / f"{name}_image.npy")
                probabilities = predictor.probabilities(
                    network, image, method.temperature, (case.rows, case.columns)
                )
                sums[name].add(probabilities.numpy())
            drawn.append(sample)
            log.info(
                "sample %d: %d volumes, %.0f s", len(drawn), len(cases), time.monotonic() - start
            )
        for test_set, members in test_sets.items():
            for case in members:
                sums[case.case].write(output / test_set)
    table = pd.DataFrame(
        {
            "sample": range(len(drawn)),
            "member": [sample.member for sample in drawn],
            "epoch": [sample.epoch for sample in drawn],
        }
    )
    with written_whole(output / "samples.csv") as temporary:
        table.to_csv(temporary, index=False)
