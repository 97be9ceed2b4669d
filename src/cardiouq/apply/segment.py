"""One scan segmented, frame by frame, into a folder of its own."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from cardiouq.apply.findings import quantities, reasons
from cardiouq.apply.measures import FrameMeasures, measure
from cardiouq.apply.model import Model
from cardiouq.apply.orientation import Turn
from cardiouq.apply.phases import phases
from cardiouq.apply.scans import FINDINGS_FILE, Frame, Scan
from cardiouq.data.readers.scans import Case, frames_writer
from cardiouq.device.choose import device_name, make_deterministic
from cardiouq.files.writing import atomic_folder
from cardiouq.methods.base import Sampler
from cardiouq.prediction.activations import Activations
from cardiouq.prediction.predict import groups, sum_samples
from cardiouq.structures import STRUCTURES, label_of

PROBABILITY_STEP = 1 / (2**16 - 1)
"""Steps in which probabilities are stored."""

Volumes = Mapping[str, NDArray[Any]]


class Segmenter:
    """A model ready to segment scans.

    Its networks are loaded, and a device is chosen for them, once there is something to segment:
    who finds everything done needs no GPU.
    """

    def __init__(self, model: Model, choose: Callable[[], torch.device]) -> None:
        make_deterministic()
        self.model = model
        self._choose = choose
        self._images: dict[str, NDArray[np.float32]] = {}

    def load(self) -> None:
        """Load each network, unless it has been: that fails for the model's sake, not a scan's.

        Raises:
            CardiouqError: one cannot be predicted with, or there is no such device.
        """
        _ = self._sampler

    @cached_property
    def _sampler(self) -> Sampler:
        """The method with its networks, each of which was loaded."""
        sampler = self.model.sampler(self._choose(), lambda case: self._images[case.case])
        for _ in sampler.draws(self.model.fitted):
            pass
        return sampler

    def segment(self, scan: Scan, name: str, key: str, folder: Path) -> None:
        """Segment a scan, and write all that comes of it to a folder, whole or not at all.

        Only as many frames are in memory as there is room for their sums.

        Args:
            scan: checked.
            name: by which it is called.
            key: by which it is known later that the folder is of this scan and model.
            folder: takes the place of what is there.
        """
        frames: list[FrameMeasures] = []
        activations = Activations()
        model = self.model
        with atomic_folder(folder) as written, ExitStack() as files:
            writers: dict[str, Any] = {}
            for products in self._products(scan, activations):
                measures = measure(
                    products, scan.spacing, model.thresholds, pooled=model.is_assd_pooled
                )
                frames.append(measures)
                for volume, values in _stored(products).items():
                    if volume not in writers:
                        step = PROBABILITY_STEP if volume.startswith("probability") else 1.0
                        path = written / f"{volume}.nii.gz"
                        dtype = np.uint16 if step != 1 else values.dtype.type
                        writer = frames_writer(path, scan.image, dtype, step)
                        writers[volume] = files.enter_context(writer)
                    writers[volume](values)
            files.close()
            found = phases(frames)
            shift = model.familiar.measured(activations.table())
            table = quantities(frames, found, model.calibration)
            findings = {
                "key": key,
                "name": name,
                "file": str(scan.path),
                "sha256": scan.sha256,
                "device": device_name(self._sampler.device),
                "precision": self._sampler.precision,
                "spacing": scan.spacing,
                "shape": [int(n) for n in scan.image.shape],
                "phases": found,
                "reasons": reasons(frames, found, [[*model.familiar.beyond(of)] for of in shift]),
                "quantities": json.loads(table.to_json(orient="records")),
                "frames": [
                    asdict(frame) | {"shift": of} for frame, of in zip(frames, shift, strict=True)
                ],
            }
            text = json.dumps(findings, indent=1) + "\n"
            (written / FINDINGS_FILE).write_text(text, encoding="utf-8")

    def _products(self, scan: Scan, activations: Activations) -> Iterator[Volumes]:
        """Products of each frame on the scan's own grid, as they are done.

        Its activations are taken in frame by frame, in order.
        """
        model, turn = self.model, Turn(False, ())
        if model.directions is not None and scan.is_oriented:
            turn = Turn.towards(model.directions, scan.image.affine)
        z, y, x = turn.spacing(scan.spacing)
        columns, rows, slices = scan.image.shape[:3]
        if turn.exchanged:
            rows, columns = columns, rows
        cases = cast(
            list[Case],
            [Frame(str(k), slices, rows, columns, z, y, x) for k in range(scan.n_frames)],
        )
        images, before = scan.frames(), 0
        for group in groups(cases, self._sampler.sample_count):
            self._images = {
                case.case: model.seen(turn.turned(next(images)), (y, x)) for case in group
            }
            sums, _ = sum_samples(
                self._sampler, model.fitted, group, model.seed, activations, before, len(cases)
            )
            before += len(group)
            for case in group:
                products = sums.pop(case.case).products(
                    lambda mean, labels: model.method.combine(mean, labels, model.fitted)
                )
                yield {volume: turn.back(values) for volume, values in products.items()}


def _stored(products: Volumes) -> dict[str, NDArray[Any]]:
    """What is written of a frame: a volume for each file."""
    names = ("segmentation", "entropy", "mutual_information")
    volumes = {name: products[name] for name in names if name in products}
    return volumes | {
        f"probability_{name}": products["probabilities"][label_of(name)] for name in STRUCTURES
    }
