"""Running sums give what a stack of all samples would have given."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as array_strategy
from scipy.stats import entropy

from cardiouq.files.writing import visible
from cardiouq.prediction.sums import CaseSums, entropy_bits


def random_samples(count: int, shape: tuple[int, ...]) -> Any:
    logits = np.random.default_rng(count).normal(size=(count, 4, *shape)) * 3
    exponents = np.exp(logits)
    return (exponents / exponents.sum(1, keepdims=True)).astype(np.float32)


def mean_of(mean: Any, labels: Any) -> Any:
    """The samples' mean, as most methods have it."""
    del labels
    return mean


def sums_of(case: Any, samples: Any) -> CaseSums:
    sums = CaseSums(case)
    for sample in samples:
        sums.add(torch.from_numpy(sample))
    return sums


@pytest.fixture
def written(cases: list[Any], tmp_path: Path) -> tuple[Any, Path]:
    samples = random_samples(7, (4, 50, 44))
    sums_of(cases[0], samples).write(tmp_path / "out", mean_of)
    return samples, tmp_path / "out"


def read(path: Path) -> Any:
    return np.asarray(nib.load(path).dataobj).T


def test_mean_probabilities_are_the_stack_s(written: tuple[Any, Path]) -> None:
    samples, folder = written
    mean = np.load(folder / "a_probabilities.npy")
    assert mean.dtype == np.float16
    np.testing.assert_allclose(mean, samples.astype(np.float64).mean(0), atol=5e-4)
    np.testing.assert_allclose(mean.astype(np.float64).sum(0), 1, atol=2e-3)


def test_segmentation_is_the_class_of_the_largest_mean_probability(
    written: tuple[Any, Path],
) -> None:
    samples, folder = written
    segmentation = read(folder / "a_segmentation.nii.gz")
    assert segmentation.dtype == np.uint8
    mean = samples.astype(np.float64).mean(0)
    chosen = np.take_along_axis(mean, segmentation[None].astype(int), 0)[0]
    np.testing.assert_allclose(chosen, mean.max(0), atol=1e-6)


def test_entropy_map_is_that_of_the_mean_in_bits(written: tuple[Any, Path]) -> None:
    samples, folder = written
    expected = entropy(samples.astype(np.float64).mean(0), base=2, axis=0)
    found = read(folder / "a_entropy.nii.gz")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_mutual_information_is_the_entropy_of_the_mean_less_the_mean_entropy(
    written: tuple[Any, Path],
) -> None:
    samples, folder = written
    expected = entropy(samples.astype(np.float64).mean(0), base=2, axis=0)
    expected -= entropy(samples.astype(np.float64), base=2, axis=1).mean(0)
    found = read(folder / "a_mutual_information.nii.gz")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_variance_is_the_samples_own_averaged_over_classes(written: tuple[Any, Path]) -> None:
    samples, folder = written
    expected = samples.astype(np.float64).var(0).mean(0)
    np.testing.assert_allclose(read(folder / "a_variance.nii.gz"), expected, atol=1e-6)


def test_equal_samples_have_neither_mutual_information_nor_variance(
    cases: list[Any], tmp_path: Path
) -> None:
    sample = random_samples(1, (4, 50, 44))[0]
    sums_of(cases[0], [sample] * 3).write(tmp_path / "out", mean_of)
    for name in ("mutual_information", "variance"):
        found = read(tmp_path / "out" / f"a_{name}.nii.gz")
        assert found.min() >= 0
        np.testing.assert_allclose(found, 0, atol=1e-6)


def test_samples_are_the_label_maps_in_the_order_they_were_drawn(
    written: tuple[Any, Path],
) -> None:
    samples, folder = written
    labels = read(folder / "a_samples.nii.gz")
    np.testing.assert_array_equal(labels, samples.argmax(1))
    assert nib.load(folder / "a_samples.nii.gz").shape == (44, 50, 4, 7)


def test_distribution_of_the_method_s_own_decides_segmentation_and_entropy_alone(
    written: tuple[Any, Path], cases: list[Any], tmp_path: Path
) -> None:
    samples, of_mean = written
    given = []

    def combine(mean: Any, labels: Any) -> Any:
        given.append((mean, labels))
        return mean[::-1].copy()

    sums_of(cases[0], samples).write(tmp_path / "combined", combine)
    [(mean, labels)] = given
    np.testing.assert_allclose(mean, samples.mean(0), atol=1e-6)
    np.testing.assert_array_equal(labels, samples.argmax(1))
    combined = tmp_path / "combined"
    np.testing.assert_array_equal(
        np.load(combined / "a_probabilities.npy"), np.load(of_mean / "a_probabilities.npy")[::-1]
    )
    segmentations = [read(f / "a_segmentation.nii.gz") for f in (combined, of_mean)]
    np.testing.assert_array_equal(segmentations[0], 3 - segmentations[1])
    # what is said about the samples stays theirs
    for name in ("mutual_information", "variance", "samples"):
        file = f"a_{name}.nii.gz"
        np.testing.assert_array_equal(read(combined / file), read(of_mean / file))
    expected = entropy(samples.astype(np.float64), base=2, axis=1).mean(0)
    np.testing.assert_allclose(read(combined / "a_expected_entropy.nii.gz"), expected, atol=1e-5)
    assert not (of_mean / "a_expected_entropy.nii.gz").exists()  # what the other maps tell


def test_entropy_map_is_that_of_the_method_s_own_distribution(
    cases: list[Any], tmp_path: Path
) -> None:
    sums_of(cases[0], random_samples(1, (4, 50, 44))).write(
        tmp_path / "out", lambda mean, labels: np.full_like(mean, 0.25)
    )
    np.testing.assert_allclose(read(tmp_path / "out" / "a_entropy.nii.gz"), 2, rtol=1e-6)


def test_a_single_sample_has_no_file_of_samples(cases: list[Any], tmp_path: Path) -> None:
    sums_of(cases[0], random_samples(1, (4, 50, 44))).write(tmp_path / "out", mean_of)
    names = {path.name for path in visible((tmp_path / "out").iterdir())}
    assert names == {"a_probabilities.npy", "a_segmentation.nii.gz", "a_entropy.nii.gz"}


def test_uniform_probabilities_of_four_classes_have_two_bits() -> None:
    uniform = np.full((4, 3, 3), 0.25, np.float32)
    np.testing.assert_allclose(entropy_bits(uniform), 2, rtol=1e-6)


def test_certain_probabilities_have_no_entropy() -> None:
    certain = np.zeros((4, 3, 3), np.float32)
    certain[2] = 1
    np.testing.assert_array_equal(entropy_bits(certain), 0)


def test_rounding_does_not_make_entropy_negative() -> None:
    # a mean of softmax outputs in float32 can end one unit in the last place above 1
    certain = np.zeros((4, 1), np.float32)
    certain[0] = np.nextafter(np.float32(1), np.float32(2))
    assert (entropy_bits(certain) >= 0).all()


@settings(max_examples=50)
@given(
    weights=array_strategy(
        np.float64, (4, 6), elements=st.floats(0, 1, allow_nan=False, allow_subnormal=False)
    )
)
def test_entropy_agrees_with_scipy(weights: Any) -> None:
    probabilities = ((weights + 1e-6) / (weights + 1e-6).sum(0)).astype(np.float32)
    expected = entropy(probabilities, base=2, axis=0)
    np.testing.assert_allclose(entropy_bits(probabilities), expected, atol=1e-5)
