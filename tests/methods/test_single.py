"""One network and its temperature, fixed or fitted."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import Tensor, nn

from cardiouq.methods.base import Member
from cardiouq.methods.single import Method, negative_log_likelihood
from cardiouq.recipes.schedule import PolynomialSchedule

SCHEDULE = PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9)


def volume(temperature: float, seed: int) -> tuple[Tensor, NDArray[np.uint8]]:
    """Logits (4, 4, 64, 64), and labels drawn from softmax(logits / temperature)."""
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(4, 4, 64, 64, generator=draw)
    by_voxel = (logits / temperature).softmax(1).movedim(1, 3).reshape(-1, 4)
    labels = torch.multinomial(by_voxel, 1, generator=draw).view(4, 64, 64)
    return logits, labels.numpy().astype(np.uint8)


# 32768 voxels: the standard error of a fitted temperature is below one percent
@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_fitted_temperature_is_the_one_that_labels_were_drawn_with(
    temperature: float, make_run: Any
) -> None:
    cases = [volume(temperature, seed) for seed in (1, 2)]
    run = make_run({7: nn.Identity}, cases=cases)
    fitted = Method(temperature="fitted").fit([run], SCHEDULE)
    assert fitted["temperature"] == pytest.approx(temperature, rel=0.04)
    assert fitted["volumes"] == 2


def test_negative_log_likelihood_is_a_mean_over_voxels() -> None:
    pairs = [volume(1.0, 1), (volume(1.0, 2)[0][:1], volume(1.0, 2)[1][:1])]  # of unequal size
    of_voxels = []
    for logits, labels in pairs:
        logs = log_softmax(logits.double().numpy() / 1.7, axis=1)
        of_voxels.append(-np.take_along_axis(logs, labels[:, None].astype(int), 1).ravel())
    expected = np.concatenate(of_voxels).mean()
    assert negative_log_likelihood(pairs, lambda logits: logits / 1.7) == pytest.approx(
        expected, rel=1e-5
    )


def test_cross_validated_temperature_is_fitted_on_the_folds_runs_alone(make_run: Any) -> None:
    method = Method(temperature="fitted", folds=2)
    members = [Member(), Member(fold=0, folds=2), Member(fold=1, folds=2)]
    assert method.members() == members
    temperatures = (0.5, 2.0, 2.0)  # had the first run a say, it would not be 2
    runs = [
        make_run({7: nn.Identity}, member, [volume(temperature, seed)])
        for seed, (member, temperature) in enumerate(zip(members, temperatures, strict=True))
    ]
    fitted = method.fit(runs, SCHEDULE)
    assert fitted["temperature"] == pytest.approx(2.0, rel=0.04)
    assert fitted["volumes"] == 2
    [draw] = method.draws(runs, SCHEDULE, fitted)
    assert [(sample.member, sample.epoch) for sample in draw.samples] == [(Member(), 7)]


def test_logits_are_divided_by_the_temperature(make_run: Any, images: Tensor) -> None:
    run = make_run({7: nn.Identity})
    method = Method(temperature=1.5)
    fitted = method.fit([run], SCHEDULE)
    [draw] = method.draws([run], SCHEDULE, fitted)
    [logits] = draw.logits(draw.network(images))
    torch.testing.assert_close(logits, images / 1.5)


def test_vanilla_has_temperature_one(make_run: Any, images: Tensor) -> None:
    run = make_run({7: nn.Identity})
    [draw] = Method().draws([run], SCHEDULE, Method().fit([run], SCHEDULE))
    [logits] = draw.logits(draw.network(images))
    assert torch.equal(logits, images)


def test_a_fixed_temperature_needs_no_held_out_subjects(make_run: Any) -> None:
    assert not Method(temperature=1.5).fits()
    assert Method(temperature="fitted").fits()
    with pytest.raises(ValueError, match="folds"):
        Method(temperature=1.5, folds=2)
