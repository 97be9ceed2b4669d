"""Tissues have the signal that the scanner's equation gives them."""

from math import cos, exp, radians, sin

import numpy as np
import pytest

from cardiouq.data.phantom.generate import ACDC_SCANNER, MNMS_SCANNERS
from cardiouq.data.phantom.signal import RELAXATION, Scanner, Tissue, bssfp_signal, tissue_signals


def test_bssfp_signal_of_blood_by_hand() -> None:
    blood = RELAXATION[Tissue.BLOOD]
    e1, e2, flip = exp(-3 / blood.t1), exp(-3 / blood.t2), radians(60)
    by_hand = blood.density * sin(flip) * (1 - e1) / (1 - (e1 - e2) * cos(flip) - e1 * e2)
    by_hand *= exp(-1.5 / blood.t2)
    assert bssfp_signal(blood, 60, 3.0, 1.5) == pytest.approx(by_hand, rel=1e-9)
    # For TR far below T1 and T2: M0 sin a / (1 + cos a + (1 - cos a) T1 / T2).
    limit = sin(flip) / (1 + cos(flip) + (1 - cos(flip)) * blood.t1 / blood.t2)
    assert bssfp_signal(blood, 60, 1e-3, 0.0) == pytest.approx(blood.density * limit, rel=1e-4)


@pytest.mark.parametrize("scanner", [ACDC_SCANNER, *MNMS_SCANNERS], ids=lambda s: s.vendor)
def test_contrast_between_tissues(scanner: Scanner) -> None:
    flip = float(np.mean(scanner.flip_degrees))
    signal = tissue_signals(scanner, np.random.default_rng(0), flip)
    assert signal[Tissue.AIR] == 0
    assert signal[Tissue.BLOOD] > 1.7 * signal[Tissue.MYOCARDIUM]
    assert signal[Tissue.FAT] > signal[Tissue.LIVER] > signal[Tissue.MYOCARDIUM]
    assert signal[Tissue.LUNG] < 0.5 * signal[Tissue.MYOCARDIUM]
