"""Noise of a magnitude image, which the phantom's scanner makes and distortions add."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def add_rician_noise(rng: np.random.Generator, signal: Floats, sd: float) -> Floats:
    """Magnitude of a signal of any shape with Gaussian noise in the real and imaginary channel.

    Args:
        rng: the source of the noise.
        signal: float32, real.
        sd: of either channel's noise, in the signal's unit.
    """
    noise = rng.standard_normal((2, *signal.shape), dtype=np.float32) * np.float32(sd)
    magnitude: Floats = np.hypot(signal + noise[0], noise[1])
    return magnitude
