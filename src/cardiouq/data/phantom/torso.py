"""The phantom's torso: chest wall, lungs, liver, stomach, spine, aorta."""

from dataclasses import dataclass

import numpy as np

from cardiouq.data.noise import Floats
from cardiouq.data.phantom.signal import Tissue, smooth_field


@dataclass(frozen=True)
class Torso:
    """One subject's torso in the heart's frame; mm and radians."""

    centre: tuple[float, float]
    semi_axes: tuple[float, float]
    fat: float
    fat_side: float
    pad: float
    pad_side: float
    muscle: float
    ribs: int
    diaphragm: float  # below the heart's centre
    diaphragm_rise: float  # per mm of z towards the apex
    liver_edge: float
    aorta: tuple[float, float, float]  # x, y, radius
    spine: tuple[float, float]
    stomach: tuple[float, float, float]


def random_torso(rng: np.random.Generator, weight_kg: float, heart_radius: float) -> Torso:
    """Make a random torso, whose subcutaneous fat grows with the weight."""
    return Torso(
        centre=(rng.normal(28, 8), rng.normal(22, 10)),
        semi_axes=(rng.uniform(102, 122) + heart_radius / 4, rng.uniform(145, 175)),
        fat=float(np.clip((weight_kg - 45) / 2.8 * rng.uniform(0.7, 1.3), 5, 28)),
        fat_side=rng.uniform(0, 2 * np.pi),
        pad=rng.uniform(4, 30),
        pad_side=np.pi + rng.normal(0.1, 0.35),
        muscle=rng.uniform(7, 13),
        ribs=int(rng.integers(16, 24)),
        diaphragm=heart_radius + rng.uniform(-3, 9),
        diaphragm_rise=rng.uniform(0.0, 0.15),
        liver_edge=rng.uniform(-5, 45),
        aorta=(rng.uniform(30, 50) + heart_radius / 2, rng.uniform(28, 48), rng.uniform(9, 13)),
        spine=(rng.uniform(85, 100), rng.uniform(55, 80)),
        stomach=(rng.uniform(35, 60), rng.uniform(85, 110), rng.uniform(22, 34)),
    )


class TorsoPainter:
    """A painter of tissue fractions (tissues, slices, rows, columns) over each other."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.fractions = np.zeros((len(Tissue), *shape), np.float32)
        self.fractions[Tissue.AIR] = 1
        self._used = [Tissue.AIR]

    def paint(self, tissue: Tissue, cover: Floats) -> None:
        """Cover what is there with a tissue, by shares in [0, 1]."""
        keep = 1 - cover
        for used in self._used:
            self.fractions[used] *= keep
        self.fractions[tissue] += cover
        if tissue not in self._used:
            self._used.append(tissue)


def _soft(inside_mm: Floats, pixel: float) -> Floats:
    """Share of a pixel inside a border at signed distance `inside_mm`."""
    return np.asarray(np.clip(inside_mm / np.float32(pixel) + 0.5, 0, 1), np.float32)


def torso_fractions(
    torso: Torso, x: Floats, y: Floats, z: Floats, rng: np.random.Generator, *, pixel: float
) -> Floats:
    """Paint the fractions of every tissue but the heart's.

    Args:
        x, y: (slices, rows, columns), z: (slices, 1, 1), mm, in the heart's frame.

    Returns:
        (tissues, slices, rows, columns).
    """
    shape = (x.shape[0], x.shape[1], x.shape[2])
    canvas = TorsoPainter(shape)
    coarse = smooth_field(rng, shape, (0.8, 11 / pixel, 11 / pixel))
    fine = smooth_field(rng, shape, (0.5, 3.2 / pixel, 3.2 / pixel))

    from_x, from_y = x - np.float32(torso.centre[0]), y - np.float32(torso.centre[1])
    r = np.hypot(from_x, from_y)
    a, b = (np.float32(axis) for axis in torso.semi_axes)
    power = 2.6
    reach = (np.abs(from_x / a) ** power + np.abs(from_y / b) ** power) ** np.float32(1 / power)
    depth = r / np.maximum(reach, 1e-3) - r + 1.2 * coarse
    angle = np.arctan2(from_y, from_x)
    fat = np.float32(torso.fat) * (1 + 0.5 * np.cos(angle - np.float32(torso.fat_side)))
    wall = fat + np.float32(torso.muscle)

    canvas.paint(Tissue.FAT, _soft(depth, pixel))
    canvas.paint(Tissue.MUSCLE, _soft(depth - fat, pixel))
    ribs = 5.5 - np.hypot(
        depth - wall + 4, 12 * np.sin(np.float32(torso.ribs) / 2 * angle + 0.02 * z)
    )
    canvas.paint(Tissue.MARROW, _soft(ribs, pixel))
    chest = depth - wall
    canvas.paint(Tissue.LUNG, _soft(chest, pixel))
    # The fat pad between the heart and the chest wall, which is at the left.
    pad = np.float32(torso.pad) * np.exp(2.5 * (np.cos(angle - np.float32(torso.pad_side)) - 1))
    canvas.paint(Tissue.FAT, _soft(np.minimum(pad + 3 * coarse - chest, chest), pixel))
    # Pulmonary vessels: bright dots, denser towards the hilum at the right of the heart.
    hilum = np.exp(-(((x - 30) / 45) ** 2) - ((y + 40) / 50) ** 2)
    canvas.paint(Tissue.BLOOD, np.clip((fine - 2.3 + 1.2 * hilum) * 1.2, 0, 0.8) * (chest > 4))

    # Mediastinal fat and muscle around the spine and the great vessels.
    spine_x, spine_y = (np.float32(value) for value in torso.spine)
    spine_r = np.hypot(x - spine_x, (y - spine_y) * 0.9)
    canvas.paint(Tissue.MUSCLE, _soft(np.minimum(38 - spine_r + 4 * coarse, chest), pixel))
    canvas.paint(Tissue.FAT, np.clip(fine - 0.6, 0, 0.8) * (spine_r < 36) * (chest > 0))
    canvas.paint(Tissue.MARROW, _soft(20 - spine_r + 2 * coarse, pixel) * (chest > 0))

    _paint_abdomen(canvas, torso, x, y, z, chest, coarse, fine, pixel)

    aorta_x, aorta_y, aorta_r = (np.float32(value) for value in torso.aorta)
    vessel = np.hypot(x - aorta_x + 0.15 * z, y - aorta_y)
    canvas.paint(Tissue.MUSCLE, _soft(aorta_r + 2 - vessel, pixel))
    canvas.paint(Tissue.BLOOD, _soft(aorta_r - vessel, pixel))
    return canvas.fractions


def _paint_abdomen(
    canvas: TorsoPainter,
    torso: Torso,
    x: Floats,
    y: Floats,
    z: Floats,
    chest: Floats,
    coarse: Floats,
    fine: Floats,
    pixel: float,
) -> None:
    """Diaphragm with the liver under the heart, stomach and bowel in fat beside it."""
    dome = np.float32(torso.diaphragm) - np.float32(torso.diaphragm_rise) * z
    below = np.minimum(y - dome - 0.0035 * (x + 10) ** 2 + 3 * coarse, chest)
    canvas.paint(Tissue.FAT, _soft(below + 4, pixel) * (chest > 0))
    canvas.paint(Tissue.MUSCLE, _soft(below, pixel))
    # Bowel and kidney: patches of muscle-like wall, fat and fluid.
    inside = _soft(below - 4, pixel)
    canvas.paint(Tissue.FAT, inside * np.clip(0.6 + 0.9 * coarse, 0, 1))
    canvas.paint(Tissue.MUSCLE, inside * np.clip(1.2 * fine - 0.3, 0, 0.9))
    canvas.paint(Tissue.BLOOD, inside * np.clip(1.5 * fine - 2.6, 0, 0.7))
    stomach_x, stomach_y, stomach_r = (np.float32(value) for value in torso.stomach)
    stomach = np.minimum(stomach_r - np.hypot(x - stomach_x, y - stomach_y) + 4 * coarse, below - 3)
    canvas.paint(Tissue.MUSCLE, _soft(stomach, pixel))
    canvas.paint(Tissue.AIR, 0.8 * _soft(np.minimum(stomach - 5, stomach_y - 6 - y), pixel))
    edge = np.float32(torso.liver_edge) - 0.5 * (y - dome) + 6 * coarse
    liver = np.minimum(np.minimum(edge - x, below - 2), 75 - (y - dome))
    canvas.paint(Tissue.LIVER, _soft(liver, pixel))
    canvas.paint(Tissue.BLOOD, np.clip(0.7 * (fine - 1.7), 0, 0.6) * (liver > 4))
