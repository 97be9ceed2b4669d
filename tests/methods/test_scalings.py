"""Vector and isotonic scaling, fitted on held-out subjects as a temperature is."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import check_grad
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from torch import Tensor, nn

from cardiouq.methods import build_method
from cardiouq.methods.base import Fitted, Member
from cardiouq.methods.isotonic import LEAST, LOG_ODDS, monotone
from cardiouq.methods.single import Rescaled, negative_log_likelihood
from cardiouq.methods.vector_scaling import loss_and_gradient
from cardiouq.recipes.schedule import PolynomialSchedule
from cardiouq.structures import IGNORED

SCHEDULE = PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9)
FACTOR = torch.tensor([0.3, 0.9, 0.4, 0.6]).view(1, 4, 1, 1)
OFFSET = torch.tensor([1.0, -0.5, 0.0, -0.5]).view(1, 4, 1, 1)
SCALINGS: dict[str, dict[str, Any]] = {
    "temperature": {"method": "single", "temperature": "fitted"},
    "vector": {"method": "vector_scaling"},
    "one versus rest": {"method": "isotonic", "maps": "one_vs_rest"},
    "shared": {"method": "isotonic", "maps": "shared"},
}
EVERY_SCALING = pytest.mark.parametrize("block", SCALINGS.values(), ids=SCALINGS.keys())
Volume = tuple[Tensor, NDArray[np.uint8]]


def volume(seed: int) -> Volume:
    """Logits (4, 4, 64, 64) of a network that is too sure and prefers some classes, and labels
    drawn from softmax(FACTOR * logits + OFFSET)."""
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(4, 4, 64, 64, generator=draw)
    by_voxel = (FACTOR * logits + OFFSET).softmax(1).movedim(1, 3).reshape(-1, 4)
    labels = torch.multinomial(by_voxel, 1, generator=draw).view(4, 64, 64)
    return logits, labels.numpy().astype(np.uint8)


VOLUMES = [volume(seed) for seed in (1, 2)]


def fit(block: dict[str, Any], make_run: Any, *volumes: Volume) -> tuple[Rescaled, Fitted]:
    """A scaling, fitted on the volumes."""
    method = build_method(block)
    assert isinstance(method, Rescaled)
    return method, method.fit([make_run({7: nn.Identity}, cases=volumes)], SCHEDULE)


@EVERY_SCALING
def test_a_scaling_lowers_the_negative_log_likelihood_on_its_fit(
    block: dict[str, Any], make_run: Any
) -> None:
    method, fitted = fit(block, make_run, *VOLUMES)
    before = negative_log_likelihood(VOLUMES, lambda logits: logits)
    after = negative_log_likelihood(VOLUMES, lambda logits: method.rescaled(logits, fitted))
    assert after < before - 0.1


@pytest.mark.parametrize("name", ["temperature", "shared"])
def test_one_map_of_all_classes_changes_no_segmentation(name: str, make_run: Any) -> None:
    method, fitted = fit(SCALINGS[name], make_run, *VOLUMES)
    for logits, _ in (*VOLUMES, volume(3)):
        rescaled = method.rescaled(logits, fitted)
        assert not torch.allclose(rescaled.softmax(1), logits.softmax(1), atol=0.01)
        first, second = logits.softmax(1).topk(2, dim=1).values.unbind(1)
        told_apart = first - second > 1e-3  # than which rounding is less
        assert torch.equal(rescaled.argmax(1)[told_apart], logits.argmax(1)[told_apart])


@pytest.mark.parametrize("name", ["vector", "one versus rest"])
def test_maps_of_each_class_move_voxels_to_the_classes_that_were_missed(
    name: str, make_run: Any
) -> None:
    method, fitted = fit(SCALINGS[name], make_run, *VOLUMES)
    logits, labels = volume(3)  # which it was not fitted on
    before, after = (
        np.mean(each.argmax(1).numpy() == labels)
        for each in (logits, method.rescaled(logits, fitted))
    )
    assert after > before + 0.02


@EVERY_SCALING
def test_what_nobody_annotated_is_not_fitted_on(block: dict[str, Any], make_run: Any) -> None:
    logits, labels = VOLUMES[0]
    hidden = labels.copy()
    hidden[2:] = IGNORED
    _, fitted = fit(block, make_run, (logits, hidden))
    _, expected = fit(block, make_run, (logits[:2], labels[:2]))
    for name, found in fitted.items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-3)


@EVERY_SCALING
def test_folds_are_fitted_on_and_the_first_run_predicts(
    block: dict[str, Any], make_run: Any
) -> None:
    method = build_method(block | {"folds": 2})
    members = [Member(), Member(fold=0, folds=2), Member(fold=1, folds=2)]
    assert method.members() == members
    assert method.fits()
    assert method.network_passes(SCHEDULE) == 1
    other = VOLUMES[0][0], np.zeros_like(VOLUMES[0][1])  # had it a say, all would be background
    runs = [
        make_run({7: nn.Identity}, member, [cases])
        for member, cases in zip(members, (other, *VOLUMES), strict=True)
    ]
    fitted = method.fit(runs, SCHEDULE)
    _, expected = fit(block, make_run, *VOLUMES)
    for name, found in fitted.items():
        np.testing.assert_array_equal(found, expected[name])
    [draw] = method.draws(runs, SCHEDULE, fitted)
    assert [(sample.member, sample.epoch) for sample in draw.samples] == [(Member(), 7)]


def test_vector_scaling_finds_what_labels_were_drawn_with(make_run: Any) -> None:
    _, fitted = fit(SCALINGS["vector"], make_run, *VOLUMES)
    # 32768 voxels: standard errors are about 0.02 and 0.03
    np.testing.assert_allclose(fitted["factor"], FACTOR.flatten(), atol=0.08)
    offset = fitted["offset"] - fitted["offset"].mean()  # a constant of all changes nothing
    np.testing.assert_allclose(offset, OFFSET.flatten() - OFFSET.mean(), atol=0.12)


def test_vector_scaling_searches_along_the_gradient() -> None:
    values = np.array([0.8, 1.1, 1.3, 0.6, 0.2, 0.3, 0.0, 0.4])
    loss, gradient = loss_and_gradient(values, VOLUMES)
    parameters = torch.as_tensor(values).view(2, 1, 4, 1, 1).float()
    expected = negative_log_likelihood(VOLUMES, lambda z: parameters[0] * z + parameters[1])
    assert loss == pytest.approx(expected, rel=1e-5)
    assert np.abs(gradient).min() > 1e-3
    error = check_grad(
        lambda x: loss_and_gradient(x, VOLUMES)[0],
        lambda x: loss_and_gradient(x, VOLUMES)[1],
        values,
    )
    assert error < 1e-5


def test_isotonic_map_of_a_class_is_that_of_its_voxels_one_by_one(make_run: Any) -> None:
    method, fitted = fit(SCALINGS["one versus rest"], make_run, *VOLUMES)
    logits = torch.cat([each for each, _ in VOLUMES])
    labels = np.concatenate([each for _, each in VOLUMES])
    probability = logits.softmax(1).movedim(1, 0).reshape(4, -1).numpy()
    by_voxel = [
        IsotonicRegression(out_of_bounds="clip").fit(p, labels.ravel() == value).predict(p)
        for value, p in enumerate(probability)
    ]
    expected = np.stack(by_voxel) / np.sum(by_voxel, axis=0)
    rescaled = method.rescaled(logits, fitted)
    torch.testing.assert_close(rescaled.logsumexp(1), torch.zeros(8, 64, 64))  # of no energy
    found = rescaled.exp().movedim(1, 0).reshape(4, -1).numpy()
    assert np.abs(probability - expected).mean() > 0.05
    assert np.abs(found - expected).mean() < 0.005


def test_regression_is_monotone_and_leaves_a_probability_that_is_right() -> None:
    voxels = np.full(len(LOG_ODDS), 1e6)
    right = monotone(voxels, voxels * expit(LOG_ODDS))
    np.testing.assert_allclose(right, expit(LOG_ODDS), atol=1e-9)
    hits = np.random.default_rng(1).binomial(20, expit(LOG_ODDS / 2))
    few = np.where(np.arange(len(LOG_ODDS)) % 3, 0, 20)
    found = monotone(few, np.where(few > 0, hits, 0))
    assert (np.diff(found) >= 0).all()
    assert found.min() >= LEAST
    assert found.max() <= 1 - LEAST
