"""The phantom's scanner: from tissues to a magnitude image."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cardiouq.data.noise import Floats, add_rician_noise


class Tissue(IntEnum):
    """Tissues, by their index along the first axis of the fractions."""

    AIR = 0
    LUNG = 1
    FAT = 2
    MUSCLE = 3
    LIVER = 4
    MARROW = 5
    BLOOD = 6
    MYOCARDIUM = 7


@dataclass(frozen=True)
class Relaxation:
    """Proton density (relative to blood) and relaxation times in ms of a tissue."""

    density: float
    t1: float
    t2: float


# At 1.5 T. Blood, heart, liver, muscle, marrow: Stanisz et al., Magn Reson Med 2005; subcutaneous
# fat: de Bazelaire et al., Radiology 2004. Proton densities, and the lung as a whole, are rough.
RELAXATION: dict[Tissue, Relaxation] = {
    Tissue.AIR: Relaxation(0.0, 1000.0, 100.0),
    Tissue.LUNG: Relaxation(0.2, 1200.0, 40.0),
    Tissue.FAT: Relaxation(0.9, 343.0, 58.0),
    Tissue.MUSCLE: Relaxation(0.95, 1008.0, 44.0),
    Tissue.LIVER: Relaxation(0.9, 576.0, 46.0),
    Tissue.MARROW: Relaxation(0.7, 549.0, 49.0),
    Tissue.BLOOD: Relaxation(1.0, 1441.0, 290.0),
    Tissue.MYOCARDIUM: Relaxation(0.95, 1030.0, 40.0),
}


@dataclass(frozen=True)
class Scanner:
    """One vendor's scanner; ranges are drawn from uniformly per subject.

    Attributes:
        vendor: the vendor's name, and `letter` its letter in M&Ms ("" outside M&Ms).
        centres: centres that use it.
        flip_degrees, repetition_ms: of the balanced steady-state sequence; echo time is half of it.
        spacing_mm: in-plane. slice_mm: distance between slices, of which `gap_mm` is not excited.
        matrix: columns and rows.
        gain: intensity of a signal of 1.
        noise: SD of either channel's noise, over the signal of blood.
        bias: log-intensity from the field's mean to the near side of the coils.
        blur_mm: SD of the point spread: the k-space filter and motion within the breath-hold.
        breath_hold_mm: SD of the in-plane shift between slices.
        relaxation_spread: relative SD of a subject's T1 and T2.
        flow: relative SD of the blood's signal within a subject (inflow, turbulence).
    """

    vendor: str
    letter: str
    centres: tuple[int, ...]
    flip_degrees: tuple[float, float]
    repetition_ms: float
    spacing_mm: tuple[float, float]
    slice_mm: tuple[float, float]
    gap_mm: float
    matrix: tuple[int, int]
    gain: float
    noise: tuple[float, float]
    bias: tuple[float, float]
    blur_mm: float
    breath_hold_mm: float
    relaxation_spread: float
    flow: float


def bssfp_signal(
    relaxation: Relaxation, flip_degrees: float, repetition_ms: float, echo_ms: float
) -> float:
    """Steady-state magnitude of balanced SSFP on resonance with alternating RF phase.

    M = M0 sin(a) (1 - E1) / (1 - (E1 - E2) cos(a) - E1 E2) exp(-TE / T2),  E = exp(-TR / T)
    (Scheffler and Lehnhardt, Eur Radiol 2003).
    """
    flip = np.deg2rad(flip_degrees)
    e1 = np.exp(-repetition_ms / relaxation.t1)
    e2 = np.exp(-repetition_ms / relaxation.t2)
    steady = np.sin(flip) * (1 - e1) / (1 - (e1 - e2) * np.cos(flip) - e1 * e2)
    return float(relaxation.density * steady * np.exp(-echo_ms / relaxation.t2))


def tissue_signals(
    scanner: Scanner, rng: np.random.Generator, flip_degrees: float
) -> NDArray[np.float32]:
    """Signal of every tissue, in order of `Tissue`, with one subject's own T1 and T2."""
    spread = np.exp(rng.normal(0, scanner.relaxation_spread, (len(Tissue), 2)))
    return np.array(
        [
            bssfp_signal(
                Relaxation(
                    RELAXATION[tissue].density,
                    RELAXATION[tissue].t1 * spread[tissue, 0],
                    RELAXATION[tissue].t2 * spread[tissue, 1],
                ),
                flip_degrees,
                scanner.repetition_ms,
                scanner.repetition_ms / 2,
            )
            for tissue in Tissue
        ],
        dtype=np.float32,
    )


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, int, int], sigma: tuple[float, float, float]
) -> Floats:
    """Gaussian random field with mean 0 and SD 1; `sigma` in voxels."""
    field = ndimage.gaussian_filter(
        rng.standard_normal(shape, dtype=np.float32), sigma, truncate=2.5, mode="wrap"
    )
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def bias_field(rng: np.random.Generator, shape: tuple[int, int], strength: float) -> Floats:
    """Receive sensitivity (rows, columns) of surface coils on the chest, about 1 on average.

    The chest lies at the left of a short-axis image; the logarithm is a quadratic polynomial.
    """
    y, x = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij")
    towards = np.pi + rng.normal(0, 0.6)
    along = x * np.float32(np.cos(towards)) + y * np.float32(np.sin(towards))
    bend = rng.normal(0, 0.25, 3).astype(np.float32)
    log = along + bend[0] * x * y + bend[1] * (x**2 - 1 / 3) + bend[2] * (y**2 - 1 / 3)
    sensitivity: Floats = np.exp(np.float32(strength) * log)
    return sensitivity


def acquire(
    fractions: Floats,
    signals: NDArray[np.float32],
    bias: Floats,
    scanner: Scanner,
    rng: np.random.Generator,
    *,
    spacing_mm: float,
    noise: float,
) -> NDArray[np.int16]:
    """Acquire an image (slices, rows, columns) of tissues (tissues, slices, rows, columns)."""
    shape = (fractions.shape[1], fractions.shape[2], fractions.shape[3])
    signal = np.tensordot(signals, fractions, axes=1)
    flow = smooth_field(rng, shape, (0.6, 5 / spacing_mm, 5 / spacing_mm))
    signal += fractions[Tissue.BLOOD] * signals[Tissue.BLOOD] * np.float32(scanner.flow) * flow
    psf = scanner.blur_mm / spacing_mm
    signal = ndimage.gaussian_filter(signal, (0, psf, psf), truncate=3)
    noisy = add_rician_noise(rng, signal * bias, noise * float(signals[Tissue.BLOOD]))
    image = np.clip(np.rint(noisy * np.float32(scanner.gain)), 0, np.iinfo(np.int16).max)
    return np.asarray(image, np.int16)
