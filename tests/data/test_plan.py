import json
import math
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardiouq.data.plan import Plan, make_plan
from cardiouq.errors import CardiouqError

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]

SHORT_AXIS: tuple[list[Shape], list[Spacing]] = (
    [(10, 256, 216)] * 6 + [(8, 232, 256)] * 4,
    [(10.0, 1.5, 1.5)] * 6 + [(5.0, 1.6, 1.6)] * 4,
)


def plan_of(shapes: list[Shape], spacings: list[Spacing], **changed: Any) -> Plan:
    """The plan with nnU-Net's own settings, but for those that are changed."""
    derived = {"spacing": None, "patch_size": None, "max_stages": None}
    features = {"base_features": 32, "max_features": 512}
    return make_plan(shapes, spacings, **derived | features | changed)


# Training sets and what nnU-Net v2 2.8.1's ExperimentPlanner answers to fingerprints that say so
# (4 classes, 1 channel): spacing, patch, batch, and the strides and kernel sizes of the stages.
# Features are 32, doubled from stage to stage up to 512.
NNUNET_PLANS = {
    "short_axis": (SHORT_AXIS, (1.5, 1.5), (256, 224), 10, [(1, 1)] + [(2, 2)] * 5, [(3, 3)] * 6),
    "a_fifth_with_thin_slices": (
        ([(12, 256, 216)] * 30, [(10, 1.5, 1.5)] * 24 + [(5, 1.5, 1.5)] * 6),
        (1.5, 1.5),
        (256, 224),
        35,
        [(1, 1)] + [(2, 2)] * 5,
        [(3, 3)] * 6,
    ),
    "anisotropic_in_plane": (
        (
            [(30, 80, 300), (28, 96, 320), (32, 72, 280)] * 10,
            [(4, 3.2, 0.8)] * 15 + [(4, 3.2, 0.7)] * 15,
        ),
        (3.2, 0.75),
        (80, 320),
        42,
        [(1, 1)] + [(1, 2)] * 2 + [(2, 2)] * 4,
        [(1, 3)] * 2 + [(3, 3)] * 5,
    ),
    "too_large_for_the_memory": (
        (
            [(40, 2100, 1800), (40, 1900, 2000), (36, 2048, 1500)] * 20,
            [(1.0, 0.2, 0.2), (1.0, 0.22, 0.22), (1.2, 0.2, 0.2)] * 20,
        ),
        (0.2, 0.2),
        (1280, 1024),
        2,
        [(1, 1)] + [(2, 2)] * 8,
        [(3, 3)] * 9,
    ),
    "too_large_and_oblong": (
        ([(10, 2000, 900)] * 50, [(5, 0.3, 0.3)] * 50),
        (0.3, 0.3),
        (1792, 896),
        2,
        [(1, 1)] + [(2, 2)] * 7 + [(2, 1)],
        [(3, 3)] * 9,
    ),
    "batch_fills_the_memory": (
        ([(10, 256, 256)] * 400, [(9, 1.5, 1.5)] * 400),
        (1.5, 1.5),
        (256, 256),
        49,
        [(1, 1)] + [(2, 2)] * 6,
        [(3, 3)] * 7,
    ),
    "slices_thinner_than_pixels": (
        ([(3, 256, 216)] * 10, [(10, 1.5, 1.5)] * 8 + [(1, 1.5, 1.5)] * 2),
        (1.5, 1.5),
        (256, 224),
        10,
        [(1, 1)] + [(2, 2)] * 5,
        [(3, 3)] * 6,
    ),
    "small": (
        ([(9, 40, 30), (8, 36, 28), (9, 44, 33)] * 4, [(8, 2.5, 2.5)] * 12),
        (2.5, 2.5),
        (40, 32),
        5,
        [(1, 1)] + [(2, 2)] * 3,
        [(3, 3)] * 4,
    ),
    "one_slice": (
        ([(1, 128, 128)], [(8, 1.25, 1.25)]),
        (1.25, 1.25),
        (128, 128),
        2,
        [(1, 1)] + [(2, 2)] * 5,
        [(3, 3)] * 6,
    ),
    "oblong": (
        ([(10, 500, 130)] * 50, [(9, 1.2, 1.2)] * 50),
        (1.2, 1.2),
        (512, 160),
        20,
        [(1, 1)] + [(2, 2)] * 5 + [(2, 1)],
        [(3, 3)] * 7,
    ),
    "strip": (
        ([(10, 300, 12)] * 50, [(9, 1.2, 1.2)] * 50),
        (1.2, 1.2),
        (320, 12),
        23,
        [(1, 1), (2, 2)] + [(2, 1)] * 4,
        [(3, 3)] * 6,
    ),
}


@pytest.mark.parametrize("name", NNUNET_PLANS)
def test_is_what_nnunet_plans(name: str):
    (shapes, spacings), spacing, patch_size, batch_size, strides, kernel_sizes = NNUNET_PLANS[name]
    assert plan_of(shapes, spacings) == Plan(
        spacing=pytest.approx(spacing),
        patch_size=patch_size,
        batch_size=batch_size,
        n_stages=len(strides),
        features_per_stage=(32, 64, 128, 256, 512, 512, 512, 512, 512)[: len(strides)],
        kernel_sizes=tuple(kernel_sizes),
        strides=tuple(strides),
    )


@pytest.mark.skipif("CARDIOUQ_ACDC_ROOT" not in os.environ, reason="CARDIOUQ_ACDC_ROOT is not set")
@pytest.mark.parametrize(
    ("subjects", "spacing", "batch_size"),
    # nnU-Net v2 2.8.1's fingerprint extraction and planner on ACDC's training volumes: the 200
    # of all subjects, and the 80 of the first 40 subjects.
    [(100, 1.5625, 56), (40, 1.4843775033950806, 39)],
)
def test_is_what_nnunet_plans_for_acdc(subjects: int, spacing: float, batch_size: int):
    folders = sorted((Path(os.environ["CARDIOUQ_ACDC_ROOT"]) / "training").glob("patient*"))
    labels = [label for folder in folders[:subjects] for label in folder.glob("*_gt.nii.gz")]
    assert len(labels) == 2 * subjects
    headers = [nib.load(str(path).replace("_gt.nii.gz", ".nii.gz")).header for path in labels]
    plan = plan_of(
        [header.get_data_shape()[::-1] for header in headers],
        [tuple(float(zoom) for zoom in header.get_zooms()[::-1]) for header in headers],
    )
    assert plan == Plan(
        spacing=pytest.approx((spacing, spacing)),
        patch_size=(256, 224),
        batch_size=batch_size,
        n_stages=6,
        features_per_stage=(32, 64, 128, 256, 512, 512),
        kernel_sizes=((3, 3),) * 6,
        strides=((1, 1),) + ((2, 2),) * 5,
    )


volumes = st.tuples(
    st.tuples(st.integers(1, 20), st.integers(32, 600), st.integers(32, 600)),
    st.tuples(st.floats(4, 12), st.floats(0.7, 4), st.floats(0.7, 4)),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(volumes, min_size=1, max_size=20))
def test_every_pooling_halves_the_patch_evenly(training_set: list[tuple[Shape, Spacing]]):
    plan = plan_of(*zip(*training_set, strict=True))
    for axis in (0, 1):
        reduction = math.prod(stride[axis] for stride in plan.strides)
        assert plan.patch_size[axis] % reduction == 0
        assert reduction == 1 or plan.patch_size[axis] // reduction >= 4
    depth = plan.n_stages
    assert depth == len(plan.strides) == len(plan.kernel_sizes) == len(plan.features_per_stage)
    assert plan.strides[0] == (1, 1)
    assert plan.kernel_sizes[-1] == (3, 3)
    assert plan.batch_size >= 2
    assert Plan.from_json(plan.to_json().encode(), Path("plan.json")) == plan


def test_patch_without_room_for_deep_supervision_is_refused():
    with pytest.raises(CardiouqError, match="room for 2 stages"):
        plan_of(*SHORT_AXIS, patch_size=(8, 8))


def test_coarser_spacing_makes_a_smaller_patch():
    plan = plan_of(*SHORT_AXIS, spacing=(3.0, 3.0))
    assert plan.spacing == (3, 3)
    assert plan.patch_size == (128, 112)  # the median image has 128 x 108 such pixels
    assert plan.n_stages == 5


def test_given_patch_is_padded_and_sets_the_topology():
    plan = plan_of(*SHORT_AXIS, spacing=(2.5, 2.5), patch_size=(90, 96))
    assert plan.patch_size == (96, 96)
    assert plan.strides == ((1, 1),) + ((2, 2),) * 4


def test_limits_of_the_network():
    plan = plan_of(*SHORT_AXIS, base_features=8, max_features=20, max_stages=3)
    assert plan.features_per_stage == (8, 16, 20)
    assert plan.strides == ((1, 1), (2, 2), (2, 2))
    assert plan.patch_size == (256, 216)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "found 0 shapes"),
        (([(10, 256, 256)], []), "0 spacings"),
        (([(10, 256, 256)], [(10, 0, 1.5)]), "not positive"),
        (([(256, 256, 10)], [(1.5, 1.5, 10)]), "axis order"),
    ],
)
def test_bad_training_sets_are_errors(arguments: tuple[list[Shape], list[Spacing]], message: str):
    with pytest.raises(CardiouqError, match=message):
        plan_of(*arguments)


@pytest.mark.parametrize("override", [{"spacing": (0, 1)}, {"patch_size": (0, 32)}])
def test_bad_overrides_are_errors(override: dict[str, tuple[int, int]]):
    with pytest.raises(CardiouqError, match="must be positive"):
        plan_of(*SHORT_AXIS, **override)


READABLE = {
    "spacing": [1.5, 1.25],
    "patch_size": [32, 32],
    "batch_size": 2,
    "n_stages": 3,
    "features_per_stage": [4, 8, 16],
    "kernel_sizes": [[3, 3], [3, 3], [3, 3]],
    "strides": [[1, 1], [2, 2], [2, 2]],
}


def test_plan_is_read_back(tmp_path: Path):
    (tmp_path / "plan.json").write_text(json.dumps(READABLE), encoding="utf-8")
    plan = Plan.read(tmp_path / "plan.json")
    assert (plan.spacing, plan.strides) == ((1.5, 1.25), ((1, 1), (2, 2), (2, 2)))
    assert plan.intensity is plan.crop is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read as JSON"),
        ("[]", "is not of type object"),
        ("{}", "spacing: missing"),
        (json.dumps(READABLE)[:-9], "cannot be read as JSON"),
        (json.dumps(READABLE | {"spacing": [1]}), "spacing"),
        (json.dumps(READABLE | {"spacing": [1.5, -1.25]}), "spacing.1"),
        (json.dumps(READABLE | {"spacing": [1.5, float("nan")]}), "NaN is no number"),
        (json.dumps(READABLE | {"patch_size": [32, 0]}), "patch_size.1"),
        (json.dumps(READABLE | {"batch_size": 2.5}), "batch_size"),
        (json.dumps(READABLE | {"n_stages": 4}), "expected one of the 4 stages each"),
        (json.dumps(READABLE | {"intensity": [100, 0]}), "intensity.1"),
        (json.dumps(READABLE | {"colour": 1}), "unknown key"),
        ("\xff", "cannot be read as JSON"),
    ],
)
def test_unreadable_plan_is_an_error_that_names_the_file(text: str, said: str, tmp_path: Path):
    file = tmp_path / "plan.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(CardiouqError) as caught:
        Plan.read(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)
    assert str(caught.value).endswith(f"delete {file} and run again")
