"""The phantom's heart: where its muscle is thin, and how thick slices mix its tissues."""

import numpy as np

from cardiouq.data.phantom.anatomy import add_heart, contours
from cardiouq.data.phantom.groups import random_heart
from cardiouq.data.phantom.signal import Tissue

MYO, LV = 2, 3


def test_infarct_is_thin_and_does_not_thicken() -> None:
    heart = random_heart("MINF", np.random.default_rng(3), 171)
    angle = np.linspace(-np.pi, np.pi, 360, dtype=np.float32)[None, None]
    turned = heart.septum_direction - angle
    x = (30 * np.cos(turned)).astype(np.float32)
    y = (30 * np.sin(turned)).astype(np.float32)
    z = np.array([heart.infarct_level * heart.length], np.float32)[:, None, None]
    x, y = x + heart.tilt[0] * z, y + heart.tilt[1] * z
    ed, es = contours(heart, "ED", x, y, z), contours(heart, "ES", x, y, z)
    thickness = ed.epicardium - ed.endocardium
    motion = (ed.endocardium - es.endocardium) / ed.endocardium
    at = np.argmax(np.cos(ed.psi - heart.infarct_angle))
    remote = np.argmin(np.cos(ed.psi - heart.infarct_angle))
    assert thickness.flat[at] < 0.75 * thickness.flat[remote]
    assert motion.flat[at] < 0.5 * motion.flat[remote]


def test_thick_slices_mix_tissues() -> None:
    heart = random_heart("NOR", np.random.default_rng(1), 171)
    axis = np.arange(-60, 60, 2, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    z = np.array([0.85 * heart.length], np.float32)

    def blood_and_label(thickness: float) -> tuple[np.ndarray, np.ndarray]:
        fractions = np.zeros((len(Tissue), 1, *x.shape), np.float32)
        fractions[Tissue.LUNG] = 1
        label = add_heart(
            fractions, heart, "ED", x[None], y[None], z, pixel=2.0, thickness=thickness
        )
        np.testing.assert_allclose(fractions.sum(axis=0), 1, atol=1e-5)
        return fractions[Tissue.BLOOD], label

    thin, _ = blood_and_label(0.1)
    thick, label = blood_and_label(12.0)
    mixed = [np.count_nonzero((blood > 0.2) & (blood < 0.8)) for blood in (thin, thick)]
    assert mixed[1] > 1.2 * mixed[0]
    assert set(np.unique(label)) >= {0, MYO, LV}
