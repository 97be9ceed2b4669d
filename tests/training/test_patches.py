"""Patches lie where they should, in arrays that stay on disk."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardiouq.recipes.augmentation import Location, cut_patch
from cardiouq.structures import IGNORED
from cardiouq.training.patches import PatchSampler, memory_map

CPU = torch.device("cpu")


@pytest.fixture
def sampler(arrays: Path) -> PatchSampler:
    return PatchSampler(arrays, ["a", "b", "c"], (32, 32), 0.33, CPU)


def cut(locations: Sequence[Location], patch_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Images and labels (batch, rows, columns) of patches that are not augmented."""
    images, labels = zip(*(cut_patch(location, patch_size) for location in locations), strict=True)
    return torch.stack(images), torch.stack(labels)


def save(folder: Path, case: str, label: NDArray[np.uint8], image: Any = None) -> None:
    """Save a case; its image is the label unless said otherwise."""
    np.save(folder / f"{case}_image.npy", (label if image is None else image).astype(np.float32))
    np.save(folder / f"{case}_label.npy", label)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux lists what is mapped")
def test_arrays_are_mapped_not_read(sampler: PatchSampler, arrays: Path) -> None:
    for kind, volumes in (("image", sampler.images), ("label", sampler.labels)):
        for case, volume in zip("abc", volumes, strict=True):
            assert file_at(volume.data_ptr()) == f"{arrays / case}_{kind}.npy"


def file_at(address: int) -> str | None:
    """The file that is mapped to an address of memory."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        addresses, *_, name = line.split(maxsplit=5)
        first, end = (int(bound, 16) for bound in addresses.split("-"))
        if first <= address < end:
            return name
    return None


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "u1", "<i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_mapped_array_is_the_one_that_was_saved(tmp_path: Path, dtype: str, order: Any) -> None:
    saved = np.arange(60).reshape(3, 4, 5).astype(dtype, order)
    np.save(tmp_path / "x.npy", saved)
    found = memory_map(tmp_path / "x.npy")
    assert (found.dtype, found.shape) == (saved.dtype, saved.shape)
    np.testing.assert_array_equal(found, saved)


MANY = 600
FEW_FILES = """
import resource, sys
from pathlib import Path
import numpy as np
import torch
from cardiouq.training.patches import PatchSampler
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
cases = [f"case-{number}" for number in range(int(sys.argv[2]))]
sampler = PatchSampler(Path(sys.argv[1]), cases, (8, 8), 0.33, torch.device("cpu"))
drawn = [sampler.sample_batch(8, np.random.default_rng(seed)) for seed in range(20)]
print(int(sum(location.labels.sum() for batch in drawn for location in batch)))
"""


def test_more_cases_than_a_process_may_open_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(MANY):
        save(tmp_path, f"case-{number}", rng.integers(0, 4, (2, 12, 12), np.uint8))
    command = [sys.executable, "-c", FEW_FILES, str(tmp_path), str(MANY)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def drawn_by_hand(
    folder: Path,
    cases: Sequence[str],
    patch_size: tuple[int, int],
    batch_size: int,
    forced: int,
    rng: np.random.Generator,
) -> list[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Images and labels of a batch, from lists of all voxels and arrays with a rim of zeros."""
    patches = []
    for sample in range(batch_size):
        case = cases[rng.integers(len(cases))]
        image, label = (np.load(folder / f"{case}_{kind}.npy") for kind in ("image", "label"))
        present = [value for value in (1, 2, 3) if (label == value).any()]
        known = np.argwhere(label != IGNORED)
        ends = [
            (patch // 2, size - patch + patch // 2) if size > patch else (size // 2, size // 2)
            for size, patch in zip(label.shape[1:], patch_size, strict=True)
        ]
        if sample >= batch_size - forced and present:
            voxels = np.argwhere(label == present[rng.integers(len(present))])
            section, *pixel = voxels[rng.integers(len(voxels))]
        elif len(known) < label.size:
            shares = np.bincount(known[:, 0], minlength=len(label)) / len(known)
            section = rng.choice(len(label), p=shares)
            pixels = known[known[:, 0] == section, 1:]
            pixel = pixels[rng.integers(len(pixels))]
        else:
            section = rng.integers(len(label))
            pixel = [rng.integers(first, last + 1) for first, last in ends]
        centre = [np.clip(p, first, last) for p, (first, last) in zip(pixel, ends, strict=True)]
        top, left = (64 + c - n // 2 for c, n in zip(centre, patch_size, strict=True))
        patches.append(
            tuple(
                np.pad(part[section], 64)[top : top + patch_size[0], left : left + patch_size[1]]
                for part in (image, label)
            )
        )
    return patches


@pytest.fixture(scope="module")
def many_kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cases of different shapes: wholly annotated, in part, in one slice, without a structure."""
    folder = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(11)
    for case, shape in {
        "whole": (3, 50, 41),
        "part": (4, 30, 60),
        "one": (5, 44, 44),
        "empty": (2, 36, 40),
    }.items():
        label = rng.choice(4, shape, p=[0.9, 0.05, 0.03, 0.02]).astype(np.uint8)
        if case == "part":
            label[rng.random(shape) < 0.7] = IGNORED
        if case == "one":
            label[[0, 1, 2, 4]] = IGNORED
            label[label == 2] = 0
        if case == "empty":
            label[:] = 0
        save(folder, case, label, rng.normal(size=shape))
    return folder


@pytest.mark.parametrize("patch_size", [(32, 32), (48, 16), (16, 64)])
@pytest.mark.parametrize("cases", [["whole"], ["part", "one"], ["empty", "one", "part", "whole"]])
@pytest.mark.parametrize(("share", "forced"), [(0.0, 0), (0.33, 3), (1.0, 8)])
def test_batch_is_the_one_that_is_drawn_by_hand_from_the_same_random_numbers(
    many_kinds: Path, cases: list[str], patch_size: tuple[int, int], share: float, forced: int
) -> None:
    """The stream of random numbers decides the weights of a run."""
    sampler = PatchSampler(many_kinds, cases, patch_size, share, CPU)
    ours, by_hand = np.random.default_rng(5), np.random.default_rng(5)
    for _ in range(8):
        images, labels = cut(sampler.sample_batch(8, ours), patch_size)
        expected = drawn_by_hand(many_kinds, cases, patch_size, 8, forced, by_hand)
        for image, label, (its_image, its_label) in zip(images, labels, expected, strict=True):
            np.testing.assert_array_equal(image, its_image)
            np.testing.assert_array_equal(label, its_label)
    assert ours.random() == by_hand.random()


def test_draw_depends_on_the_generator_alone(sampler: PatchSampler) -> None:
    first, again, other = (
        cut(sampler.sample_batch(6, np.random.default_rng(s)), (32, 32)) for s in (3, 3, 4)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_a_batch_is_slices_of_the_cases_not_copies(sampler: PatchSampler) -> None:
    slices = [
        {part.data_ptr() for volume in volumes for part in volume}
        for volumes in (sampler.images, sampler.labels)
    ]
    for location in sampler.sample_batch(50, np.random.default_rng(0)):
        assert (location.image.shape, location.image.dtype) == ((40, 40), torch.float32)
        assert (location.labels.shape, location.labels.dtype) == ((40, 40), torch.uint8)
        assert location.image.data_ptr() in slices[0]
        assert location.labels.data_ptr() in slices[1]


def labels_at_centres(locations: Sequence[Location]) -> list[int]:
    return [int(location.labels[*location.centre]) for location in locations]


def test_last_third_of_a_batch_is_centred_on_foreground(tmp_path: Path) -> None:
    label = np.zeros((3, 90, 90), np.uint8)
    label[1, 40:43, 47:50] = 2
    save(tmp_path, "x", label)
    # the patch of 8 fits around every voxel, so that its centre is the drawn voxel
    sampler = PatchSampler(tmp_path, ["x"], (8, 8), 0.33, CPU)
    centres = np.array(
        [
            labels_at_centres(sampler.sample_batch(12, np.random.default_rng(seed)))
            for seed in range(20)
        ]
    )
    assert (centres[:, 8:] == 2).all()  # round(12 * 0.33) = 4
    assert (centres[:, :8] == 0).any(0).all()


def test_every_structure_of_a_case_is_drawn_alike(tmp_path: Path) -> None:
    label = np.zeros((1, 60, 60), np.uint8)
    label[0, 20:40, 20:40] = 1
    label[0, 25, 25] = 3  # one voxel, as likely as the 399 of structure 1
    save(tmp_path, "x", label)
    sampler = PatchSampler(tmp_path, ["x"], (8, 8), 1.0, CPU)
    centres = labels_at_centres(sampler.sample_batch(400, np.random.default_rng(0)))
    assert 0.4 < np.mean(np.equal(centres, 3)) < 0.6
    assert set(centres) == {1, 3}


def test_patch_stays_inside_a_slice_that_is_larger(arrays: Path) -> None:
    sampler = PatchSampler(arrays, ["a"], (32, 32), 0.5, CPU)
    images, _ = cut(sampler.sample_batch(50, np.random.default_rng(0)), (32, 32))
    assert (images != 0).all()  # noise is never 0, what lies outside is


def test_slice_smaller_than_the_patch_is_centred(arrays: Path) -> None:
    sampler = PatchSampler(arrays, ["a"], (64, 64), 0.5, CPU)
    images, _ = cut(sampler.sample_batch(8, np.random.default_rng(0)), (64, 64))
    inside = images[:, 12:52, 12:52]
    assert (inside != 0).all()
    assert int((images != 0).sum()) == inside.numel()


def test_case_without_foreground_is_drawn_from_anyway(tmp_path: Path) -> None:
    save(tmp_path, "x", np.zeros((2, 40, 40), np.uint8), np.ones((2, 40, 40)))
    sampler = PatchSampler(tmp_path, ["x"], (32, 32), 1.0, CPU)
    images, labels = cut(sampler.sample_batch(3, np.random.default_rng(0)), (32, 32))
    assert float(images.min()) == 1
    assert int(labels.max()) == 0


@pytest.fixture
def scribbled(tmp_path: Path) -> PatchSampler:
    """One of five slices with an annotation: a few pixels, some of a structure."""
    label = np.full((5, 60, 60), IGNORED, np.uint8)
    label[3, 20:24, 30] = 0
    label[3, 40, 30:34] = 2
    save(tmp_path, "x", label)
    return PatchSampler(tmp_path, ["x"], (8, 8), 0.5, CPU)


def test_patches_of_a_case_annotated_in_part_are_centred_on_annotated_pixels(
    scribbled: PatchSampler,
) -> None:
    batches = [scribbled.sample_batch(8, np.random.default_rng(seed)) for seed in range(20)]
    centres = np.array([labels_at_centres(batch) for batch in batches])
    assert (centres[:, 4:] == 2).all()  # never on what nobody annotated
    assert set(np.unique(centres[:, :4])) == {0, 2}  # every annotated pixel alike
    assert 0.3 < (centres[:, :4] == 2).mean() < 0.7
    for batch in batches:
        _, labels = cut(batch, (8, 8))
        assert (labels == IGNORED).flatten(1).any(1).all()


def test_what_lies_outside_a_slice_is_background(tmp_path: Path) -> None:
    label = np.full((1, 8, 8), IGNORED, np.uint8)
    label[0, 0, 0] = 1
    save(tmp_path, "x", label)
    sampler = PatchSampler(tmp_path, ["x"], (12, 12), 1.0, CPU)
    _, labels = cut(sampler.sample_batch(2, np.random.default_rng(0)), (12, 12))
    assert set(labels[:, 2:10, 2:10].unique().tolist()) == {1, IGNORED}
    labels[:, 2:10, 2:10] = 0
    assert (labels == 0).all()


def test_annotated_slices_and_their_shares_are_known(
    scribbled: PatchSampler, sampler: PatchSampler
) -> None:
    assert scribbled.in_part == [True]
    assert scribbled.annotated_shares().tolist() == [8 / 3600]
    assert sampler.in_part == [False] * 3
    assert sampler.annotated_shares().tolist() == [1.0] * 12
