"""The phantom's heart: left ventricle, right ventricle and what lies on them.

Frame: mm in the short-axis plane around the left ventricle's centre, x to the image's right, y
down; z from the valve plane at end diastole towards the apex. Angles (`psi`) are taken from the
middle of the septum, positive towards the anterior wall.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cardiouq.data.noise import Floats
from cardiouq.data.phantom.groups import Heart
from cardiouq.data.phantom.signal import Tissue

Phase = Literal["ED", "ES"]

_WAIST = 0.2  # where the ventricle is widest, as a share of its length


@dataclass(frozen=True)
class Contours:
    """Distances from the left ventricle's centre at each pixel's angle, all of one shape, in mm."""

    r: Floats
    psi: Floats
    level: Floats  # 0 at the valve plane, 1 at the apex
    endocardium: Floats
    epicardium: Floats
    rv: Floats  # outer border of the right ventricle's cavity
    rv_extent: Floats  # 1 in the middle of the right ventricle's free wall, 0 beyond its insertions


def _taper(level: Floats) -> Floats:
    """Radius of a truncated ellipsoid of length 1, over its widest radius."""
    radius: Floats = np.sqrt(np.clip(1 - ((level - _WAIST) / (1 - _WAIST)) ** 2, 0, None))
    return radius


def contours(heart: Heart, phase: Phase, x: Floats, y: Floats, z: Floats) -> Contours:
    """Find the heart's walls at points x, y, z, which broadcast against each other."""
    systole = phase == "ES"
    longitudinal = heart.longitudinal_shortening if systole else 0.0
    base = np.float32(longitudinal * heart.length)
    x = x - np.float32(heart.tilt[0]) * z
    y = y - np.float32(heart.tilt[1]) * z
    cos, sin = (np.float32(f(heart.septum_direction)) for f in (np.cos, np.sin))
    psi = np.arctan2(cos * y - sin * x, cos * x + sin * y) * np.float32(-1)
    level = (z - base) / np.float32(heart.length - base)
    outer_level = (z - base) / np.float32(heart.length + 0.8 * heart.wall - base)

    size2, phase2, size3, phase3 = (np.float32(value) for value in heart.shape)
    septal = np.exp(2 * (np.cos(psi) - 1))
    infarct = np.float32(heart.infarct) * np.exp(
        2.5 * (np.cos(psi - np.float32(heart.infarct_angle)) - 1)
        - ((level - np.float32(heart.infarct_level)) / 0.35) ** 2
    )
    endo = np.float32(heart.radius) * (
        1
        + size2 * np.cos(2 * psi - phase2)
        + size3 * np.cos(3 * psi - phase3)
        - np.float32(heart.septum_flat) * septal
    )
    wall = np.float32(heart.wall) * (1 + np.float32(heart.septum_excess) * septal)
    wall = wall * (1 - 0.5 * infarct) * (1 - 0.25 * np.clip(level, 0, 1))
    epi = endo + wall
    if systole:
        # The muscle is incompressible: what is lost in length is gained in cross section.
        muscle = (epi**2 - endo**2) / (1 - longitudinal)
        endo = endo * (1 - np.float32(heart.radial_shortening) * (1 - 0.95 * infarct))
        epi = np.sqrt(endo**2 + muscle)
    endo = endo * _taper(level)
    epi = epi * _taper(outer_level)

    rv_base = base - 6
    rv_level = np.clip((z - rv_base) / (np.float32(0.93 * heart.length) - rv_base), -0.5, 1)
    # The anterior horn opens into the outflow tract towards the base.
    span = np.float32(heart.rv_span) * (1 - 0.2 * np.clip(level, 0, 1))
    span = span * np.where(psi > 0, 1.25 - 0.3 * np.clip(level, 0, 1), 1).astype(np.float32)
    extent = np.clip(np.cos(np.clip(psi / span, -1, 1) * np.float32(np.pi / 2)), 0, 1)
    width = heart.rv_width * (1 - heart.rv_shortening if systole else 1)
    narrowing = np.sqrt(1 - rv_level**2) * (1 - 0.2 * np.clip(rv_level, 0, 1))
    rv = epi + np.float32(width) * narrowing * extent ** np.float32(heart.rv_roundness)
    return Contours(np.hypot(x, y), psi, level, endo, epi, rv, extent)


class HeartPainter:
    """A painter of fractions of fat, blood and muscle over each other, the last on top."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.rest = np.ones(shape, np.float32)
        self.parts = {
            tissue: np.zeros(shape, np.float32)
            for tissue in (Tissue.FAT, Tissue.BLOOD, Tissue.MYOCARDIUM)
        }

    def paint(self, tissue: Tissue, cover: Floats) -> None:
        """Cover what is there with a tissue, by shares in [0, 1]."""
        keep = 1 - cover
        self.rest *= keep
        for part in self.parts.values():
            part *= keep
        self.parts[tissue] += cover


def _within(r: Floats, border: Floats, pixel: float) -> Floats:
    """Share of a pixel at distance r that lies within the border: antialiasing in the plane."""
    share = np.clip((border - r) / np.float32(pixel) + 0.5, 0, 1)
    return np.asarray(share * (border > 0), np.float32)


def _ripples(heart: Heart, c: Contours, first: int) -> Floats:
    """Uneven angular waves in [0, 1]: trabeculae along a wall."""
    waves = np.zeros_like(c.psi)
    for k, phase in enumerate(heart.trabeculae):
        waves += np.cos((first + 3 * k) * c.psi + np.float32(phase) + (2 + k) * 3 * c.level)
    return np.asarray(np.clip(0.5 + waves / 4, 0, 1), np.float32)


def heart_plane(
    heart: Heart, phase: Phase, x: Floats, y: Floats, z: Floats, pixel: float
) -> tuple[HeartPainter, Floats]:
    """Paint one thin plane of the heart in each slice.

    Args:
        x, y: (slices, rows, columns); z: (slices, 1, 1); mm.
        pixel: in-plane size of a pixel, mm.

    Returns:
        The painted tissues, and what share of a pixel is RV, MYO, LV: (3, slices, rows, columns).
        Papillary muscles and trabeculae count as blood pool, the RV's free wall and everything
        above the valve plane as background, as in ACDC.
    """
    c = contours(heart, phase, x, y, z)
    canvas = HeartPainter(c.r.shape)
    below_valve = (c.level >= 0).astype(np.float32)
    present = (c.level > -0.25).astype(np.float32)
    cavity = _within(c.r, c.endocardium, pixel) * below_valve
    ventricle = _within(c.r, c.epicardium, pixel) * below_valve
    beside = np.asarray(np.clip((c.rv - c.epicardium - 1.5) / 3, 0, 1) * present, np.float32)
    rv = _within(c.r, c.rv, pixel) * (1 - ventricle) * beside

    surface = np.maximum(c.rv + 3 * beside, c.epicardium)
    fat = _within(c.r, surface + _fat_thickness(heart, c), pixel)
    canvas.paint(Tissue.FAT, fat * present * (surface > 4))
    canvas.paint(Tissue.MYOCARDIUM, _within(c.r, c.rv + 2.5, pixel) * beside)
    _paint_above_valve(canvas, heart, x, y, c, present * (1 - below_valve), pixel)
    canvas.paint(Tissue.BLOOD, rv)
    canvas.paint(Tissue.MYOCARDIUM, rv * _right_trabeculae(heart, c))
    canvas.paint(Tissue.MYOCARDIUM, ventricle)
    canvas.paint(Tissue.BLOOD, cavity)
    canvas.paint(Tissue.MYOCARDIUM, cavity * _inner_muscle(heart, c, pixel))
    return canvas, np.stack([rv * (c.level > -0.08), ventricle - cavity, cavity])


def _fat_thickness(heart: Heart, c: Contours) -> Floats:
    """Epicardial fat, mm: in the grooves where the right ventricle is inserted, else patchy."""
    grooves = np.exp(-(((c.rv_extent - 0.12) / 0.15) ** 2)) * (np.abs(c.psi) < 2)
    patches = 0.5 + 0.5 * np.sin(2 * c.psi + np.float32(heart.trabeculae[0]) + 3 * c.level)
    towards_base = 1 - np.clip(c.level, 0, 1)
    return np.asarray(heart.fat * (0.3 + patches + 2 * grooves * towards_base), np.float32)


def _right_trabeculae(heart: Heart, c: Contours) -> Floats:
    """Share of the right cavity taken by trabeculae, which run along and across its free wall."""
    depth = np.clip((c.r - c.epicardium) / np.maximum(c.rv - c.epicardium, 1), 0, 1)
    rough = 3 * np.clip(depth - 0.5 + 0.4 * np.clip(c.level, 0, 1), 0, 1)
    mesh = _ripples(heart, c, 5) * (0.5 + 0.5 * np.sin(0.35 * c.r + 4 * c.psi + 9 * c.level))
    return np.asarray(np.clip(heart.trabecula_size * rough * mesh, 0, 0.8), np.float32)


def _inner_muscle(heart: Heart, c: Contours, pixel: float) -> Floats:
    """Share of the left cavity taken by papillary muscles and trabeculae."""
    depth = np.clip((c.r / np.maximum(c.endocardium, 1) - 0.72) / 0.28, 0, 1)
    rough = np.clip(depth * np.float32(0.9 * heart.trabecula_size), 0, 1) * _ripples(heart, c, 7)
    cover = np.clip(rough * (0.6 + np.clip(c.level, 0, 1)), 0, 0.85)
    column = np.clip(1.5 - np.abs(c.level - 0.5) * 4, 0, 1)
    for angle, radius in heart.papillary:
        at = 0.68 * c.endocardium
        # Distance in polar coordinates, by the cosine rule.
        turn = np.cos(c.psi - np.float32(angle))
        distance = np.sqrt(np.clip(c.r**2 + at**2 - 2 * c.r * at * turn, 0, None))
        muscle = _within(distance, np.float32(radius) * column, pixel)
        cover = np.maximum(cover, muscle)
    return cover


def _paint_above_valve(
    canvas: HeartPainter,
    heart: Heart,
    x: Floats,
    y: Floats,
    c: Contours,
    cover: NDArray[np.float32],
    pixel: float,
) -> None:
    """Left atrium and aortic root: bright like the ventricle, but without its thick wall."""
    septum = np.array([np.cos(heart.septum_direction), np.sin(heart.septum_direction)])
    for along, radius in ((-0.25, 0.85), (0.62, 0.55)):
        at = septum * along * heart.radius
        r = np.hypot(x - np.float32(at[0]), y - np.float32(at[1]))
        border = np.full_like(r, radius * heart.radius)
        canvas.paint(Tissue.MYOCARDIUM, _within(r, border + 2, pixel) * cover)
        canvas.paint(Tissue.BLOOD, _within(r, border, pixel) * cover)


def add_heart(
    fractions: Floats,
    heart: Heart,
    phase: Phase,
    x: Floats,
    y: Floats,
    z: NDArray[np.float32],
    *,
    pixel: float,
    thickness: float,
    planes: int = 4,
) -> NDArray[np.uint8]:
    """Put a heart into tissue fractions (in place) and return its labels.

    A slice is the mean of `planes` thin planes across its thickness: the partial volume effect. A
    voxel's label is the structure with the largest share of it.

    Args:
        fractions: (tissues, slices, rows, columns). x, y: (slices, rows, columns), mm.
        z: (slices,), middle of each slice, mm.

    Returns:
        (slices, rows, columns): 0 background, 1 RV, 2 MYO, 3 LV.
    """
    near = (np.abs(x) < 110) & (np.abs(y) < 110)
    rows, columns = (np.flatnonzero(near.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    box = (slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    depths = ((np.arange(planes, dtype=np.float32) + 0.5) / planes - 0.5) * thickness
    drawn = [
        heart_plane(heart, phase, x[box], y[box], (z + depth)[:, None, None], pixel)
        for depth in depths.astype(np.float32)
    ]
    inside = fractions[(slice(None), *box)]
    inside *= sum(canvas.rest for canvas, _ in drawn) / np.float32(planes)
    for tissue in drawn[0][0].parts:
        inside[tissue] += sum(canvas.parts[tissue] for canvas, _ in drawn) / np.float32(planes)
    share = np.asarray(sum(shares for _, shares in drawn) / np.float32(planes))
    label = np.zeros(x.shape, np.uint8)
    label[box] = np.concatenate([1 - share.sum(axis=0, keepdims=True), share]).argmax(axis=0)
    return label
