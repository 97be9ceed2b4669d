"""Estimates of the memory and time of trainings, predictions and evaluations. Imports no torch.

The first two follow nnU-Net's measure of a network, the values in its feature maps: on one core of
the laptop and demo studies and at the paper's size a training step took 11 to 52 ns for each value
of each image. The rates below are for old machines. What is asked for too little is asked for again
with more (`attempt`); a training goes on where its time ended, so no epoch is lost to a wrong one.
"""

import contextlib
import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

from cardiouq.data.plan import Plan, make_plan
from cardiouq.errors import CardiouqError
from cardiouq.files.tables import parse_rows
from cardiouq.methods.base import PretrainedMethod
from cardiouq.structures import N_CLASSES, PHANTOM
from cardiouq.study.study import Study

NANOSECONDS_PER_VALUE = {"cpu": 60.0, "cuda": 0.6}
"""Nanoseconds of a training step for each value; on a GPU by nnU-Net's 0.2 s a step, of 2018."""
FORWARD_SHARE = 1 / 3
SECONDS_PER_VOLUME = 0.5
"""Seconds to resample one sample of a volume to its own grid, and to add it up."""
SECONDS_PER_SCORING = 0.5
SECONDS_PER_SCORED_SAMPLE = 0.03
"""Seconds to score a volume, and further ones for each sample: three times the laptop study's."""
SLICES = 12
START_MINUTES = 15
LARGEST_FACTOR = 3
BASE_MB = 2500
"""Memory of interpreter, torch, MONAI and mapped scans; a laptop's training has 1.0 GB in all."""
CUDA_MB = 4000
"""Further memory, for CUDA's libraries and its memory on the host."""
SCORING_MB = 1500
SCORES_MB = 0.25
SCORED_SAMPLE_MB = 10
"""Memory of an evaluation, further for each volume's rows, and for each sample of one volume."""
BYTES_PER_VALUE = 4
MAPS_KEPT = 3
"""Values kept for each of a feature map: a convolution's output, its norm's, and a gradient."""
WEIGHTS_KEPT = 6
"""Values kept for each weight: itself, gradient, two moments, a checkpoint, a state."""
USUAL_SHARE = 0.3
"""Share of what is guessed for an old machine that the demo and the laptop study took."""
VOLUMES = 300
"""Number of volumes that a method predicts, as long as the test sets are not listed yet."""
PHASES = 2
USUAL_SCAN = (10, 256, 216), (10.0, 1.5, 1.5)
"""Shape and spacing that a plan is guessed from for as long as it is not made."""


class Resources(NamedTuple):
    """Memory and time that one job asks for."""

    mem_mb: int
    minutes: int

    def at(self, attempt: int) -> Self:
        """Resources that the job asks for after failures; a pre-emption counts as one."""
        return type(self)(*(need * min(attempt, LARGEST_FACTOR) for need in self))


def training_resources(study: Study, recipe: str, plan_file: str | Path, gpus: int) -> Resources:
    """Memory and time that one training run asks for."""
    plan, batch_size = plan_of(study, plan_file), study["recipes"][recipe]["batch_size"]
    return Resources(
        memory_mb(plan, batch_size, gpus),
        _rounded(START_MINUTES + training_seconds(study, recipe, plan, gpus) / 60),
    )


def prediction_resources(
    study: Study,
    name: str,
    plan_file: str | Path,
    test_sets: Iterable[str | Path],
    gpus: int,
    split: str | Path = "",
) -> Resources:
    """Memory and time that a method or a repeat asks for to predict all of its test sets.

    Of the split, once it is there, a method that is fitted has its held-out subjects.
    """
    plan = plan_of(study, plan_file)
    seconds = prediction_seconds(study, name, plan, test_sets, gpus)
    memory = memory_mb(networks_plan(study, name, plan), SLICES, gpus)
    if not gpus:  # where logits are
        memory += held_out_mb(study, name, plan, Path(split))
    return Resources(memory, _rounded(START_MINUTES + seconds / 60))


def held_out_mb(study: Study, name: str, plan: Plan, split: Path) -> int:
    """Megabytes of all held-out volumes' logits, if the method keeps them to be fitted on."""
    method = study.methods[study.repeated(name)]
    if not method.keeps_held_out():
        return 0
    side = "train" if any(member.folds for member in method.members()) else "validation"
    volumes = PHASES * _subjects(split, side) or VOLUMES
    (_, *edges), (_, *spacing) = USUAL_SCAN
    on_grid = [n * own / new for n, own, new in zip(edges, spacing, plan.spacing, strict=True)]
    pixels = math.prod(map(min, on_grid, plan.crop or on_grid))
    needed = volumes * SLICES * pixels * N_CLASSES * BYTES_PER_VALUE / 1e6
    return math.ceil(needed / 500) * 500


def evaluation_resources(
    study: Study, name: str, plan_file: str | Path, test_sets: Iterable[str | Path]
) -> Resources:
    """Memory and time that the evaluation of a method or a repeat asks for."""
    plan, tables = plan_of(study, plan_file), list(test_sets)
    seconds = evaluation_seconds(study, name, plan, tables)
    samples = study.sample_count(name, plan)
    memory = SCORING_MB + _volumes(study, name, tables) * SCORES_MB + samples * SCORED_SAMPLE_MB
    return Resources(math.ceil(memory / 500) * 500, _rounded(START_MINUTES + seconds / 60))


def training_seconds(study: Study, recipe: str, plan: Plan, gpus: int) -> float:
    """Seconds that one training run takes."""
    images = study.own_epochs(recipe) * images_per_epoch(study, recipe)
    return images * seconds_per_image(plan, gpus)


def prediction_seconds(
    study: Study, name: str, plan: Plan, test_sets: Iterable[str | Path], gpus: int
) -> float:
    """Seconds that a method or a repeat takes to predict all of its test sets."""
    repeated, samples = study.repeated(name), study.sample_count(name, plan)
    passes = study.network_passes(repeated)
    images = images_per_volume(study) * (2 if study.methods[repeated].fits() else 1)
    image_seconds = seconds_per_image(networks_plan(study, name, plan), gpus)
    return _volumes(study, name, test_sets) * (
        passes * FORWARD_SHARE * images * image_seconds + samples * SECONDS_PER_VOLUME
    )


def evaluation_seconds(
    study: Study, name: str, plan: Plan, test_sets: Iterable[str | Path]
) -> float:
    """Seconds that the evaluation of a method or a repeat takes."""
    samples = study.sample_count(name, plan)
    return _volumes(study, name, test_sets) * (
        SECONDS_PER_SCORING + samples * SECONDS_PER_SCORED_SAMPLE
    )


def _volumes(study: Study, name: str, test_sets: Iterable[str | Path]) -> float:
    """Volumes of all test sets: those that are listed, or else how many there should be."""
    return sum(_rows(Path(table)) for table in test_sets) or expected_volumes(study, name)


def images_per_epoch(study: Study, recipe: str) -> float:
    """Images that cost as much as training and validation in an epoch."""
    settings = study["recipes"][recipe]
    steps = settings["iterations_per_epoch"] + FORWARD_SHARE * settings["validation_batches"]
    return float(steps * settings["batch_size"])


def images_per_volume(study: Study) -> float:
    """Tiles of all slices of a volume; they overlap in each direction."""
    tiles: float = (1 / (1 - study["prediction"]["tile_overlap"])) ** 2
    return SLICES * tiles


def expected_volumes(study: Study, name: str) -> float:
    """Volumes that a method or a repeat predicts before any is listed: of a phantom what its size
    says."""
    sources = {
        study["datasets"][block["dataset"]]["source"] for block in study["test_sets"].values()
    }
    if sources != {PHANTOM}:
        return VOLUMES
    subjects = {name: _phantom_subjects(study, block) for name, block in study["test_sets"].items()}
    volumes = PHASES * sum(subjects.values())
    distorted = study.distorted_test_sets()
    if distorted and study.predicts_distorted(name):
        block = study["distortions"]
        of_each = min(block["subjects"] or math.inf, subjects[block["test_set"]])
        volumes += PHASES * of_each * len(distorted)
    return volumes


def _phantom_subjects(study: Study, test_set: Mapping[str, Any]) -> float:
    """Subjects of a phantom's test set, as far as part, side and vendor say it."""
    sizes = study[PHANTOM]
    vendors = 1 if "vendor" in test_set else 2
    count = {
        "acdc": sizes["acdc_subjects"],
        "mnms": vendors * sizes["mnms_subjects_per_vendor"],
    }[study["datasets"][test_set["dataset"]]["layout"]]
    held_out = {side: study["split"][f"{side}_fraction"] for side in ("validation", "test")}
    shares = held_out | {"train": 1 - sum(held_out.values())}
    return float(count * shares.get(test_set.get("split", ""), 1))


def networks_plan(study: Study, name: str, plan: Plan) -> Plan:
    """The plan of the networks that a method predicts with: the study's, or a model's own."""
    method = study.methods[study.repeated(name)]
    own = method.plan() if isinstance(method, PretrainedMethod) else None
    return own or plan


def plan_of(study: Study, file: str | Path) -> Plan:
    """Read a study's plan; as long as it is not made, plan for a usual scan."""
    with contextlib.suppress(OSError, ValueError, CardiouqError):  # the job itself will say so
        return Plan.from_json(Path(file).read_bytes(), Path(file))
    shape, spacing = USUAL_SCAN
    names = ("spacing", "patch_size", "base_features", "max_features", "max_stages")
    return make_plan([shape], [spacing], **{name: study["plan"][name] for name in names})


def seconds_per_image(plan: Plan, gpus: int) -> float:
    """Seconds of a training step for each image."""
    return NANOSECONDS_PER_VALUE["cuda" if gpus else "cpu"] * 1e-9 * plan.feature_values


def memory_mb(plan: Plan, batch_size: int, gpus: int) -> int:
    """Megabytes that a job takes on the host, where on a GPU there are no feature maps."""
    values = WEIGHTS_KEPT * weight_count(plan)
    if not gpus:
        values += MAPS_KEPT * batch_size * plan.feature_values
    needed = BASE_MB + (CUDA_MB if gpus else 0) + values * BYTES_PER_VALUE / 1e6
    return math.ceil(needed / 500) * 500


def weight_count(plan: Plan) -> int:
    """Number of weights of the convolutions, which are nearly all."""
    widths = plan.features_per_stage
    encoder = sum(9 * (above + width) * width for above, width in pairwise((1, *widths)))
    decoder = sum((9 * 3 * width + 4 * below) * width for width, below in pairwise(widths))
    return encoder + decoder


def _rounded(minutes: float) -> int:
    return math.ceil(minutes / 10) * 10


def _rows(table: Path) -> int:
    """Count the rows of a table, 0 if it is not there yet."""
    with contextlib.suppress(FileNotFoundError):
        return max(len(table.read_bytes().splitlines()) - 1, 0)
    return 0


def _subjects(split: Path, side: str) -> int:
    """Count the subjects of a side, 0 if the table is not there yet."""
    with contextlib.suppress(OSError):
        return int((parse_rows(split.read_bytes(), split, {})["split"] == side).sum())
    return 0
