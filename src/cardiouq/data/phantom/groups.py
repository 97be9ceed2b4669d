"""The phantom's subjects: the five groups of ACDC and a random heart of each."""

from dataclasses import dataclass

import numpy as np

GROUPS = ("NOR", "MINF", "DCM", "HCM", "RV")

# Volume of a ventricle of widest radius 1 and length 1 that tapers as `anatomy` draws it:
# pi times the mean of 1 - ((level - 0.2) / 0.8)^2 over level in [0, 1].
_TAPER_VOLUME = np.pi * 35 / 48


@dataclass(frozen=True)
class Group:
    """Means of one ACDC group (Bernard et al., IEEE TMI 2018, section III-A); mL, mm, fractions."""

    volume: float
    ejection: float
    wall: float
    septum_excess: float = 0.0
    rv_width: float = 31.0
    rv_shortening: float = 0.40
    septum_flat: float = 0.03
    infarct: float = 0.0


GROUP: dict[str, Group] = {
    "NOR": Group(volume=140, ejection=0.60, wall=8.5),
    "MINF": Group(volume=180, ejection=0.43, wall=8.5, infarct=1.0, rv_shortening=0.34),
    "DCM": Group(volume=270, ejection=0.22, wall=7.5, rv_width=33, rv_shortening=0.22),
    "HCM": Group(volume=125, ejection=0.68, wall=13.5, septum_excess=0.35, rv_width=28),
    "RV": Group(
        volume=115, ejection=0.58, wall=8.5, rv_width=50, rv_shortening=0.2, septum_flat=0.16
    ),
}


@dataclass(frozen=True)
class Heart:
    """One subject's heart at end diastole, and how it contracts; mm and radians."""

    length: float
    radius: float
    wall: float
    septum_excess: float
    septum_flat: float
    shape: tuple[float, float, float, float]  # size and phase of 2nd and 3rd angular harmonic
    radial_shortening: float
    longitudinal_shortening: float
    infarct: float
    infarct_angle: float
    infarct_level: float
    rv_width: float
    rv_span: float
    rv_roundness: float  # exponent: small for a blunt, large for a pointed crescent
    rv_shortening: float
    septum_direction: float
    tilt: tuple[float, float]  # shift of the centre per mm of z
    papillary: tuple[tuple[float, float], tuple[float, float]]  # angle, radius
    trabeculae: tuple[float, ...]  # phases of the angular waves
    trabecula_size: float
    fat: float


def random_heart(group: str, rng: np.random.Generator, height_cm: float) -> Heart:
    """Make a random heart of one group; volumes grow with the body's size."""
    mean = GROUP[group]
    volume = mean.volume * (height_cm / 171) ** 2 * rng.lognormal(0, 0.12)
    length = 90 * (volume / 150) ** 0.25 * rng.lognormal(0, 0.04)
    ejection = float(np.clip(mean.ejection + rng.normal(0, 0.035), 0.12, 0.78))
    longitudinal = 0.25 * ejection
    return Heart(
        length=length,
        radius=float(np.sqrt(volume * 1000 / (_TAPER_VOLUME * length))),
        wall=mean.wall * rng.lognormal(0, 0.07),
        septum_excess=mean.septum_excess * rng.uniform(0.3, 1.7),
        septum_flat=mean.septum_flat * rng.uniform(0.5, 1.5),
        shape=(
            rng.normal(0, 0.05),
            rng.uniform(0, 2 * np.pi),
            rng.normal(0, 0.03),
            rng.uniform(0, 2 * np.pi),
        ),
        radial_shortening=float(1 - np.sqrt((1 - ejection) / (1 - longitudinal))),
        longitudinal_shortening=longitudinal,
        infarct=mean.infarct * rng.uniform(0.7, 1.0),
        infarct_angle=rng.uniform(-np.pi, np.pi),
        infarct_level=rng.uniform(0.4, 0.8),
        rv_width=mean.rv_width * rng.lognormal(0, 0.1),
        rv_span=rng.uniform(1.15, 1.4) * (1.08 if group == "RV" else 1.0),
        rv_roundness=rng.uniform(0.65, 1.2),
        rv_shortening=float(np.clip(mean.rv_shortening + rng.normal(0, 0.04), 0.1, 0.6)),
        septum_direction=np.pi + rng.normal(0.15, 0.2),
        tilt=(rng.normal(-0.05, 0.06), rng.normal(0.02, 0.06)),
        papillary=(
            (np.pi - rng.uniform(0.7, 1.1), rng.uniform(3.5, 6.0)),
            (np.pi + rng.uniform(0.7, 1.1), rng.uniform(3.5, 6.0)),
        ),
        trabeculae=tuple(rng.uniform(0, 2 * np.pi, 6).tolist()),
        trabecula_size=rng.uniform(0.6, 1.2),
        fat=rng.uniform(1.0, 5.0),
    )
