"""The noise of a magnitude image has the Rice distribution."""

import numpy as np
import pytest

from cardiouq.data.noise import add_rician_noise


def test_rician_noise_has_rayleigh_background_and_gaussian_foreground() -> None:
    rng = np.random.default_rng(0)
    sd = 3.0
    background = add_rician_noise(rng, np.zeros(200_000, np.float32), sd)
    assert background.mean() == pytest.approx(sd * np.sqrt(np.pi / 2), rel=0.01)
    assert np.mean(background**2) == pytest.approx(2 * sd**2, rel=0.01)
    bright = add_rician_noise(rng, np.full(200_000, 100, np.float32), sd)
    assert bright.std() == pytest.approx(sd, rel=0.02)
    # Mean square of a Rice distribution: signal^2 + 2 sd^2.
    assert np.mean(bright.astype(np.float64) ** 2) == pytest.approx(100**2 + 2 * sd**2, rel=1e-3)
