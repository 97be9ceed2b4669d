"""Windows are cut where they should be, from arrays that stay on disk."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiouq.structures import IGNORED
from cardiouq.training.patches import WindowSampler, copy_window, memory_map


@given(
    row=st.integers(0, 9),
    column=st.integers(0, 11),
    rows=st.integers(1, 16),
    columns=st.integers(1, 16),
)
def test_window_holds_the_slice_around_its_centre_and_nothing_else(
    row: int, column: int, rows: int, columns: int
) -> None:
    source = np.arange(1, 121).reshape(10, 12)
    window = np.zeros((rows, columns), int)
    copy_window(source, (row, column), window)
    padded = np.pad(source, 20)
    top, left = 20 + row - rows // 2, 20 + column - columns // 2
    np.testing.assert_array_equal(window, padded[top : top + rows, left : left + columns])


@pytest.fixture
def sampler(arrays: Path) -> WindowSampler:
    return WindowSampler(arrays, ["a", "b", "c"], (32, 32), 46, 0.33)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux lists what is mapped")
def test_arrays_are_mapped_not_read(sampler: WindowSampler, arrays: Path) -> None:
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    names = [f"{arrays / case}_{kind}.npy" for case in "abc" for kind in ("image", "label")]
    assert [name for name in names if name not in maps] == []
    assert not any(volume.flags.owndata for volume in sampler.images + sampler.labels)


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
from cardiouq.training.patches import WindowSampler
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
cases = [f"case-{number}" for number in range(int(sys.argv[2]))]
sampler = WindowSampler(Path(sys.argv[1]), cases, (8, 8), 10, 0.33)
drawn = [sampler.sample_batch(8, np.random.default_rng(seed)) for seed in range(20)]
print(int(sum(labels.sum() for _, labels in drawn)))
"""


def test_more_cases_than_a_process_may_open_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(MANY):
        label = rng.integers(0, 4, (2, 12, 12), np.uint8)
        np.save(tmp_path / f"case-{number}_image.npy", label.astype(np.float32))
        np.save(tmp_path / f"case-{number}_label.npy", label)
    command = [sys.executable, "-c", FEW_FILES, str(tmp_path), str(MANY)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_voxel_of_a_structure_is_drawn_as_from_a_list_of_all(arrays: Path) -> None:
    """The stream of random numbers decides the weights of every run there is."""
    sampler = WindowSampler(arrays, ["a", "b", "c"], (32, 32), 46, 0.33)
    for seed in range(200):
        case = seed % 3
        rng, of_list = np.random.default_rng(seed), np.random.default_rng(seed)
        voxels = [np.argwhere(sampler.labels[case] == value) for value in (1, 2, 3)]
        chosen = voxels[of_list.integers(len(voxels))]
        expected = chosen[of_list.integers(len(chosen))].tolist()
        section, pixel = sampler._pixel_of_a_structure(case, rng)
        assert [section, *pixel] == expected
        assert rng.random() == of_list.random()


def test_draw_depends_on_the_generator_alone(sampler: WindowSampler) -> None:
    first, again, other = (sampler.sample_batch(6, np.random.default_rng(s)) for s in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()


def test_shapes_and_types(sampler: WindowSampler) -> None:
    images, labels = sampler.sample_batch(5, np.random.default_rng(0))
    assert images.shape == labels.shape == (5, 1, 46, 46)
    assert (str(images.dtype), str(labels.dtype)) == ("torch.float32", "torch.uint8")


def test_last_third_of_a_batch_is_centred_on_foreground(tmp_path: Path) -> None:
    label = np.zeros((3, 90, 90), np.uint8)
    label[1, 40:43, 47:50] = 2
    np.save(tmp_path / "x_image.npy", label.astype(np.float32))
    np.save(tmp_path / "x_label.npy", label)
    # the patch of 8 fits around every voxel, so the window's centre is the drawn voxel
    sampler = WindowSampler(tmp_path, ["x"], (8, 8), 10, 0.33)
    centres = np.concatenate(
        [
            sampler.sample_batch(12, np.random.default_rng(s))[1][:, 0, 5, 5].numpy()
            for s in range(20)
        ]
    ).reshape(20, 12)
    assert (centres[:, 8:] == 2).all()  # round(12 * 0.33) = 4
    assert (centres[:, :8] == 0).any(0).all()


def test_every_structure_of_a_case_is_drawn_alike(tmp_path: Path) -> None:
    label = np.zeros((1, 60, 60), np.uint8)
    label[0, 20:40, 20:40] = 1
    label[0, 25, 25] = 3  # one voxel, as likely as the 399 of structure 1
    np.save(tmp_path / "x_image.npy", label.astype(np.float32))
    np.save(tmp_path / "x_label.npy", label)
    sampler = WindowSampler(tmp_path, ["x"], (8, 8), 10, 1.0)
    centres = sampler.sample_batch(400, np.random.default_rng(0))[1][:, 0, 5, 5].numpy()
    assert 0.4 < (centres == 3).mean() < 0.6
    assert set(centres.tolist()) == {1, 3}


def test_patch_stays_inside_a_slice_that_is_larger(arrays: Path) -> None:
    sampler = WindowSampler(arrays, ["a"], (32, 32), 32, 0.5)
    images, _ = sampler.sample_batch(50, np.random.default_rng(0))
    assert (images != 0).all()  # noise is never 0, what lies outside is


def test_slice_smaller_than_the_patch_is_centred(arrays: Path) -> None:
    sampler = WindowSampler(arrays, ["a"], (64, 64), 64, 0.5)
    images, _ = sampler.sample_batch(8, np.random.default_rng(0))
    inside = images[:, 0, 12:52, 12:52]
    assert (inside != 0).all()
    assert int((images != 0).sum()) == inside.numel()


def test_case_without_foreground_is_drawn_from_anyway(tmp_path: Path) -> None:
    np.save(tmp_path / "x_image.npy", np.ones((2, 40, 40), np.float32))
    np.save(tmp_path / "x_label.npy", np.zeros((2, 40, 40), np.uint8))
    sampler = WindowSampler(tmp_path, ["x"], (32, 32), 32, 1.0)
    images, labels = sampler.sample_batch(3, np.random.default_rng(0))
    assert float(images.min()) == 1
    assert int(labels.max()) == 0


@pytest.fixture
def scribbled(tmp_path: Path) -> WindowSampler:
    """One of five slices with an annotation: a few pixels, some of a structure."""
    label = np.full((5, 60, 60), IGNORED, np.uint8)
    label[3, 20:24, 30] = 0
    label[3, 40, 30:34] = 2
    np.save(tmp_path / "x_image.npy", np.ones(label.shape, np.float32))
    np.save(tmp_path / "x_label.npy", label)
    return WindowSampler(tmp_path, ["x"], (8, 8), 10, 0.5)


def test_patches_of_a_case_annotated_in_part_are_centred_on_annotated_pixels(
    scribbled: WindowSampler,
) -> None:
    labels = np.concatenate(
        [scribbled.sample_batch(8, np.random.default_rng(s))[1][:, 0].numpy() for s in range(20)]
    )
    centres = labels[:, 5, 5].reshape(20, 8)
    assert (centres[:, 4:] == 2).all()  # never on what nobody annotated
    assert set(np.unique(centres[:, :4])) == {0, 2}  # every annotated pixel alike
    assert 0.3 < (centres[:, :4] == 2).mean() < 0.7
    assert (labels == IGNORED).any((1, 2)).all()


def test_what_lies_outside_a_slice_is_background(tmp_path: Path) -> None:
    label = np.full((1, 8, 8), IGNORED, np.uint8)
    label[0, 0, 0] = 1
    np.save(tmp_path / "x_image.npy", np.ones(label.shape, np.float32))
    np.save(tmp_path / "x_label.npy", label)
    _, labels = WindowSampler(tmp_path, ["x"], (8, 8), 12, 1.0).sample_batch(
        2, np.random.default_rng(0)
    )
    assert set(np.unique(labels[:, 0, 2:10, 2:10])) == {1, IGNORED}
    labels[:, 0, 2:10, 2:10] = 0
    assert (labels == 0).all()


def test_annotated_slices_and_their_shares_are_known(
    scribbled: WindowSampler, sampler: WindowSampler
) -> None:
    assert scribbled.in_part == [True]
    assert scribbled.annotated_shares().tolist() == [8 / 3600]
    assert sampler.in_part == [False] * 3
    assert sampler.annotated_shares().tolist() == [1.0] * 12
